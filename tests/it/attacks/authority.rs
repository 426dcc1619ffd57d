//! Group A: who a request is for, spelled in every odd way.
