//! Fields: a struct of the controller has few, since each state that is changed has an owner.

use super::{Rule, Violation, source::Sources};

pub const RULE: Rule = Rule { name: "fields", hint: "give fields that change together a struct that owns them", check };

const FOLDER: &str = "firewall-userspace/src/controller/";

const MOST: usize = 8;

fn check(sources: &Sources) -> Vec<Violation> {
    let files = sources.files().filter(|file| file.path.starts_with(FOLDER));
    let types = files.flat_map(|file| file.facts.types.iter().map(move |found| (file, found)));
    let large = types.filter(|(_, found)| !found.test && found.fields > MOST);
    let told = large.map(|(file, found)| {
        let what = format!("`{}` has {} fields; {MOST} are the most", found.name, found.fields);
        Violation::new(&file.path, found.line, what)
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::places, *};

    #[test]
    fn struct_of_many_fields_is_found_in_the_controller_only() {
        let fields = |count| (0..count).map(|number| format!("f{number}: u8,\n")).collect::<String>();
        let text = format!("/// S\nstruct S {{\n{}}}\nstruct T {{\n{}}}\n", fields(8), fields(9));
        let files = [("controller/mod.rs", &*text), ("state.rs", &*text)];
        let places = places(&RULE, &Sources::of("firewall-userspace/src", &files));
        assert_eq!(places, ["firewall-userspace/src/controller/mod.rs:12"]);
    }
}
