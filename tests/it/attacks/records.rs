//! Group O: what is written down, and what is not.
