//! Processes that the kernel lets nobody look into, whatever rights it has: a security module shields them.

use crate::sys;
use crate::view::text::counted;

/// Whether this process has every right to look into others: what is refused all the same is shielded.
pub fn may_look() -> bool {
    sys::may_look_into_all() && sys::may_list_all_descriptors()
}

/// That these processes are shielded; `None` where none is.
pub fn words(denied: &[u32]) -> Option<String> {
    let number = counted(denied.len() as u64, "process", "processes");
    let first = denied.first()?;
    Some(format!("the kernel shields {number} from this one, although it has the rights, process {first} for one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_and_which_is_said() {
        assert_eq!(words(&[]), None);
        let said = words(&[12, 40]).unwrap();
        assert!(said.contains("shields 2 processes from") && said.ends_with("process 12 for one"), "{said}");
    }
}
