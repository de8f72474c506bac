//! How a program of ours is known: by its name and its tag, which the kernel makes of its instructions.
//!
//! In: what is known of a program. Out: whose it is. The tag is computed before the verifier changes anything, over
//! instructions whose references to maps are zeroes (`bpf_prog_calc_tag`, kernel/bpf/core.c), so every policy has the same.

use std::sync::OnceLock;

use aya_obj::Object;
use firewall_common::abi::{PROGRAM, maps};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::OBJECT;

/// Whose a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Ours, of this very build.
    ThisBuild,
    /// Ours, of another build: its tag is another, but it has our name and our maps.
    OtherBuild,
    /// Somebody else's.
    Others,
    /// This user may not read enough of it to tell.
    Unknown,
}

/// What is known of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// Its name; `None` when this user may not read it.
    pub(super) name: Option<String>,
    /// Its tag; `None` likewise.
    pub(super) tag: Option<u64>,
    /// Names of its maps, as far as the kernel keeps them.
    pub(super) maps: Vec<String>,
    /// Whether a link that attaches it is pinned where we pin links.
    pub(super) is_pinned_as_ours: bool,
}

/// Longest name that the kernel keeps of a map (`BPF_OBJ_NAME_LEN` of linux/bpf.h, without the zero).
const LONGEST_NAME: usize = 15;

/// So many maps with names of ours are not somebody else's; every build has had more.
const FEWEST_MAPS: usize = 6;

/// `LD_IMM64`, and what its source says when it refers to a map or to a value in one (linux/bpf.h).
const LOAD_IMMEDIATE: u8 = 0x18;
const OF_MAP: [u8; 2] = [1, 2];

impl Origin {
    /// Whether it is ours.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::ThisBuild | Self::OtherBuild)
    }

    /// Whose a program with these traits is; `tags` are those of this build.
    pub(super) fn of(traits: &Traits, tags: &[u64]) -> Self {
        let is_known = traits.tag.is_some_and(|tag| tags.contains(&tag));
        match &traits.name {
            Some(name) if name != PROGRAM => Self::Others,
            _ if is_known => Self::ThisBuild,
            None if traits.is_pinned_as_ours => Self::OtherBuild,
            None => Self::Unknown,
            Some(_) if has_our_maps(&traits.maps) => Self::OtherBuild,
            Some(_) => Self::Others,
        }
    }
}

fn has_our_maps(found: &[String]) -> bool {
    let ours = maps::POLICY.iter().chain(&maps::SHARED).map(|name| name.get(..LONGEST_NAME).unwrap_or(name));
    ours.filter(|name| found.iter().any(|found| found == name)).count() >= FEWEST_MAPS
}

/// Tags that the program of this build may have: kernels before 6.18 take SHA-1, later ones SHA-256.
pub(super) fn tags() -> &'static [u64] {
    static TAGS: OnceLock<Vec<u64>> = OnceLock::new();
    TAGS.get_or_init(|| {
        instructions(OBJECT).map_or_else(Vec::new, |octets| vec![tag::<Sha1>(&octets), tag::<Sha256>(&octets)])
    })
}

/// The first eight octets of a digest.
fn tag<D: Digest>(octets: &[u8]) -> u64 {
    D::digest(octets).iter().take(size_of::<u64>()).fold(0, |tag, octet| tag << 8 | u64::from(*octet))
}

/// The instructions of the program as they are loaded, less what refers to maps; `None` when `object` has none.
fn instructions(object: &[u8]) -> Option<Vec<u8>> {
    let mut object = Object::parse(object).ok()?;
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    let maps = std::mem::take(&mut object.maps);
    // Which descriptors they would have does not count.
    object.relocate_maps(maps.iter().map(|(name, map)| (name.as_str(), 0, map)), &sections).ok()?;
    object.relocate_calls(&sections).ok()?;
    let key = object.programs.get(PROGRAM)?.function_key();
    let mut octets = Vec::new();
    let mut is_second = false;
    for instruction in &object.functions.get(&key)?.instructions {
        let refers = !is_second && instruction.code == LOAD_IMMEDIATE && OF_MAP.contains(&instruction.src_reg());
        let immediate = if refers || is_second { 0 } else { instruction.imm };
        is_second = refers;
        octets.extend([instruction.code, instruction.dst_reg() | instruction.src_reg() << 4]);
        octets.extend(instruction.off.to_le_bytes());
        octets.extend(immediate.to_le_bytes());
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(name: Option<&str>, maps: &[&str]) -> Traits {
        let maps = maps.iter().map(|name| (*name).to_owned()).collect();
        Traits { name: name.map(str::to_owned), tag: Some(7), maps, is_pinned_as_ours: false }
    }

    #[test]
    fn a_program_is_ours_by_name_and_tag_or_by_name_and_maps() {
        let of = |traits: Traits| Origin::of(&traits, &[9]);
        assert_eq!(of(traits(Some("xdp_dispatcher"), &maps::SHARED)), Origin::Others);
        assert_eq!(of(traits(Some(PROGRAM), &[])), Origin::Others, "anybody may use that name");
        let kept: Vec<&str> = maps::SHARED.iter().map(|name| name.get(..LONGEST_NAME).unwrap_or(name)).collect();
        assert_eq!(of(traits(Some(PROGRAM), &kept)), Origin::OtherBuild);
        assert_eq!(of(traits(None, &[])), Origin::Unknown);
        assert_eq!(of(Traits { is_pinned_as_ours: true, ..traits(None, &[]) }), Origin::OtherBuild);
        let of_this = |name| of(Traits { tag: Some(9), ..traits(name, &[]) });
        assert_eq!(of_this(Some(PROGRAM)), Origin::ThisBuild);
        assert_eq!(of_this(None), Origin::ThisBuild);
        assert_eq!(of_this(Some("x")), Origin::Others);
    }
}
