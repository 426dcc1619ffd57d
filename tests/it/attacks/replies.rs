//! Group G: an origin that is hostile or broken.
