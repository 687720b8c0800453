//! Types that are made from an input's bytes, field after field.
//!
//! What a derive would write. The derive's own crate asks for more of `syn` than anybody else here,
//! so that `serde` and all that is behind it, the engine first, would be compiled once for the
//! workspace and once more for `cargo run -p harness`.

/// Defines a struct whose fields are drawn in turn, or an enum of which one variant is.
macro_rules! drawn {
    (
        $(#[$about:meta])* $vis:vis struct $name:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        $vis struct $name {
            $($(#[$doc])* $field: $type,)*
        }

        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(input: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                Ok($name {
                    $($field: input.arbitrary()?,)*
                })
            }
        }
    };
    (
        $(#[$about:meta])* $vis:vis enum $name:ident {
            $($(#[$doc:meta])* $variant:ident($($type:ty),+),)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug)]
        $vis enum $name {
            $($(#[$doc])* $variant($($type),+),)*
        }

        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(input: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                type Draw<'a> = fn(&mut arbitrary::Unstructured<'a>) -> arbitrary::Result<$name>;
                let variants: &[Draw<'a>] =
                    &[$(|input| Ok($name::$variant($(input.arbitrary::<$type>()?),+))),*];
                input.choose(variants)?(input)
            }
        }
    };
}

pub(crate) use drawn;
