//! Group O: what is written down, and what is not.

mod kept;
mod shown;
