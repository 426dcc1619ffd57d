//! Group Q: dependencies and how exeat is built.
