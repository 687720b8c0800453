//! The reference when there is none: the same functions, each answering with what is missing.

/// There is no reference in this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no C++ reference in this build: live comparison is not available, recordings stand in")]
pub struct NotBuilt;

/// Name, version and build flags of the reference.
pub fn identity() -> Result<String, NotBuilt> {
    Err(NotBuilt)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_absent_reference_says_so_instead_of_agreeing() {
        assert!(!crate::support_compiled_in());
        assert!(super::identity().is_err());
    }
}
