//! The one source of randomness. Nothing else in the crate asks the operating system for random bytes.

/// Gives random bytes from the operating system.
#[derive(Clone, Copy, Debug)]
pub struct Entropy;

impl Entropy {
    /// Returns the operating system's generator.
    pub fn system() -> Self {
        Self
    }

    /// Returns `N` random bytes, good enough for keys.
    #[expect(clippy::disallowed_methods, reason = "this is the place the ban points to")]
    #[expect(clippy::expect_used, reason = "without randomness no key and no id is safe, so the process has to end")]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }
}
