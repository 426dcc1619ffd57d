//! Values of fields that a later release builds. Only their outermost shape is looked at: what
//! stands inside is refused together with the field.

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::fields::Shape;
use crate::yaml::Node;
use crate::yaml::Value;

/// A value of a known outermost shape, which is not kept.
macro_rules! unread {
    ($($(#[doc = $doc:literal])* $name:ident, $shape:expr, $fits:pat,)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug)]
        pub(in crate::policy) struct $name;

        impl Decode for $name {
            const SHAPE: Shape = $shape;

            fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
                if matches!(node.value, $fits) {
                    return Some(Self);
                }
                decoder.mismatch(node, Self::SHAPE);
                None
            }
        }
    )*};
}

unread! {
    /// Text or a mapping.
    TextOrMap, Shape::Either(&[Shape::Text, Shape::AnyMap]), Value::Scalar(_) | Value::Mapping(_),
}
