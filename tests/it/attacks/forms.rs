//! Group B: forms of requests, two identities in one request, headers that override, tunnels.
