//! Finds an error among the causes of another, since libraries wrap those of other libraries.

use std::error::Error;
use std::io;

/// Returns the first error of a type among an error and its causes.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An I/O error that is made of another one hides it: what it names as its source is that one's source.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_found_however_deep_in_io_errors_it_is() {
        let tls = rustls::Error::DecryptError;
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls.clone()));
        assert_eq!(find::<rustls::Error>(&wrapped), Some(&tls));
        assert_eq!(find::<io::Error>(&wrapped).map(io::Error::kind), Some(io::ErrorKind::Other));
        assert_eq!(find::<rustls::Error>(&io::Error::from(io::ErrorKind::TimedOut)), None);
    }
}
