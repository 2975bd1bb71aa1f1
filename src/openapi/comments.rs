//! The comments of the proto files.

use std::collections::HashMap;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, OneofDescriptor, ServiceDescriptor,
};

/// The leading comments, by the file and the path of what they are about (`SourceCodeInfo`).
#[derive(Debug)]
pub(super) struct Comments(HashMap<(String, Vec<i32>), String>);

/// An element of a proto file that may have a comment.
pub(super) trait Commented {
    fn file(&self) -> FileDescriptor;
    fn location(&self) -> &[i32];
}

macro_rules! commented {
    ($($descriptor:ident),+) => {$(
        impl Commented for $descriptor {
            fn file(&self) -> FileDescriptor {
                self.parent_file()
            }

            fn location(&self) -> &[i32] {
                self.path()
            }
        }
    )+};
}

commented!(EnumDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor, OneofDescriptor, ServiceDescriptor);

impl Commented for EnumValueDescriptor {
    fn file(&self) -> FileDescriptor {
        self.parent_enum().parent_file()
    }

    fn location(&self) -> &[i32] {
        self.path()
    }
}

impl Comments {
    /// Reads the comments of all files.
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let mut comments = HashMap::new();
        for file in pool.files() {
            let info = file.file_descriptor_proto().source_code_info.iter();
            for location in info.flat_map(|info| &info.location) {
                if let Some(comment) = &location.leading_comments {
                    comments.insert((file.name().to_owned(), location.path.clone()), paragraphs(comment));
                }
            }
        }
        Self(comments)
    }

    /// Returns the comment of an element, each of its paragraphs on one line.
    pub(super) fn at(&self, element: &impl Commented) -> String {
        let place = (element.file().name().to_owned(), element.location().to_vec());
        self.0.get(&place).cloned().unwrap_or_default()
    }
}

fn paragraphs(comment: &str) -> String {
    let trimmed = comment.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    trimmed.trim().split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}
