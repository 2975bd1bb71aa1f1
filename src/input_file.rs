//! Files that an operator names, read whole. A wrong name, such as that of a device without an end, is refused before it fills the memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most bytes of such a file: certificates, keys and configurations have a few thousand.
const LARGEST: u64 = 16 << 20;
/// The most bytes of a template.
const LARGEST_TEMPLATE: u64 = 1_000_000;

/// Reads a file.
///
/// # Errors
/// It cannot be read, or is larger than 16 MiB.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?)
}

/// Reads a file that is text.
///
/// # Errors
/// It cannot be read, is larger than 16 MiB, or is not UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    text_from(File::open(path)?)
}

/// Reads a template. Far fewer bytes than the limit are enough for any: a larger file is there by mistake.
///
/// # Errors
/// It cannot be read, is larger than 1 MB, or is not UTF-8.
pub(crate) fn read_template(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST_TEMPLATE {
        return Err(io::Error::other("is larger than 1 MB"));
    }
    read_text(path)
}

/// Reads text from an input with an end.
///
/// # Errors
/// As for [`read_text`].
pub(crate) fn text_from(input: impl Read) -> io::Result<String> {
    let bytes = read_from(input)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn read_from(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if read as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_up_to_the_limit_and_no_further() {
        let largest = usize::try_from(LARGEST).unwrap();
        assert_eq!(text_from(io::repeat(b'x').take(LARGEST)).unwrap().len(), largest);
        for endless in [read(Path::new("/dev/zero")).map(drop), text_from(io::repeat(b'x')).map(drop)] {
            assert_eq!(endless.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        }
        assert_eq!(text_from([0xff].as_slice()).unwrap_err().to_string(), "it is not UTF-8");
        assert_eq!(read(Path::new("/nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
