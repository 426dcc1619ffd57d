//! Group D: names and addresses that lead inside: resolution, special ranges, ports, our own listeners.
