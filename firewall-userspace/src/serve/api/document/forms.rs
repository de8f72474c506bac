//! The forms of what serde writes in its own way.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type},
    },
};

use crate::{control::Force, policy::Prefix, preview::guard::GuardName};

/// What a prefix looks like; the reader wants more, such as no bits behind the length.
const PREFIX: &str = r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$";

impl PartialSchema for Prefix {
    fn schema() -> RefOr<Schema> {
        let words = "A prefix without bits behind its length, such as `192.0.2.0/24` or `2001:db8::/32`";
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(PREFIX)).description(Some(words));
        text.examples(["192.0.2.0/24", "2001:db8::/32"]).into()
    }
}

impl ToSchema for Prefix {}

impl PartialSchema for GuardName {
    fn schema() -> RefOr<Schema> {
        let names = ObjectBuilder::new().schema_type(Type::String).description(Some("The name of a guard"));
        names.enum_values(Some(Self::ALL.map(Self::label))).into()
    }
}

impl ToSchema for GuardName {}

impl PartialSchema for Force {
    fn schema() -> RefOr<Schema> {
        let all = ObjectBuilder::new().schema_type(Type::Boolean).description(Some("`true`: no guard holds it up"));
        let named = ArrayBuilder::new().items(GuardName::schema()).description(Some("These guards do not hold it up"));
        OneOfBuilder::new().item(all).item(named).into()
    }
}

impl ToSchema for Force {}
