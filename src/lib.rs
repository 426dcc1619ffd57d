//! exeat: the gate between AI agents and the internet.
//!
//! An agent runtime points `HTTP_PROXY` and `HTTPS_PROXY` at it. Each request is matched to an *action* that a security
//! team declared, its parameters are checked, the credential that the agent never holds is put in, and one audit
//! record is written. What is not understood is refused.
//!
//! # The map
//!
//! The modules below are declared from the ground up: a module uses only modules declared above it, and
//! `tests/it/floors.rs` holds that. So reading order is dependency order, and `ls src` is the same map without order.
//!
//! | Floor | Modules |
//! |---|---|
//! | ground: values and rules; no IO, no clock, no tokio | [`name`] [`secret`] [`refusal`] [`fault`] [`body`] [`request`] [`address`] [`trace`] [`problem`] [`yaml`] [`json`] [`jsonpath`] [`wire`] [`schema`] [`template`] [`credential`] [`rate`] [`action`] [`policy`] [`toolbox`] [`scrub`] [`redact`] [`websocket`] |
//! | services: each owns one thing outside the process | [`patience`] [`flood`] [`log`] [`metrics`] [`meter`] [`private`] [`vault`] [`known`] [`agents`] [`sessions`] [`dial`] [`tokens`] [`authority`] [`audit`] [`live`] [`drain`] [`lease`] [`seats`] |
//! | spine: one request's way through | [`rehearsal`] [`exchange`] [`proxy`] |
//! | faces: what else listens | [`browser`] [`admin`] [`mcp`] [`tools`] |
//! | whole | [`app`] [`cli`] |
//!
//! One exception on the ground: `policy::load` reads the policy's files and `policy::files` looks at them; nothing else
//! of `policy` touches a file.
//!
//! # A request's way
//!
//! Intercepted in a CONNECT; absolute-form goes from 2 to 5. A tool call ([`tools`], [`exchange::Gate::call`]) starts
//! at 5, names its action and its parameters, and goes on at 9.
//!
//! | # | Where | What |
//! |---|---|---|
//! | 1 | [`app::start`] | services are built once; one thread accepts and hands sockets to workers |
//! | 2 | [`proxy::serve`] | strict heads; who is it; the header deadline |
//! | 3 | [`request::Destination`] | the CONNECT's target, or a refusal |
//! | 4 | `proxy`: tunnel, intercept | [`policy::Reach`]: intercept, pass through, or refuse; server name = host; a leaf |
//! | 5 | [`exchange::Gate::begin`] | one snapshot of the policy; the audit ticket takes its place in the queue |
//! | 6 | [`policy::select`] | head only: host, port, method, path, agent, door |
//! | 7 | `exchange`: body | the body, under the caps of what was selected |
//! | 8 | [`action::recognise`] | the request taken apart into parameters |
//! | 9 | [`policy::decide`] | schema, placeholders, preconditions, the rebuilt request: a [`policy::Permit`], or a refusal |
//! | 10 | [`meter::Meter::take`] | rates, behind the budget of names below a `*.` host: one call taken from every limit that holds for it, or a refusal |
//! | 11 | [`vault`], [`tokens`], [`policy::Permit::equip`] | no [`known`] secret of the agent's own; the agent's credentials off, ours on: a [`policy::Outgoing`] |
//! | 12 | [`dial::Dialer::send`] | one lookup, every answer judged, TLS verified |
//! | 13 | `exchange`: respond | decoded, [`scrub`]bed of every secret that is [`known`], read; the ticket closes with the last byte |
//! | 14 | `exchange`: socket | after a granted handshake, frames both ways ([`websocket`]) |
//!
//! # Invariants
//!
//! 1. Only [`policy::decide`] makes a [`policy::Permit`], only a permit becomes an [`policy::Outgoing`], only that is
//!    sent. Our own calls, for tokens, are made with a [`policy::Declared`], which only a checked policy has.
//!    Documentation tests that must not compile hold it; `clippy.toml` forbids every other way to connect.
//! 2. Only [`dial`] opens outbound sockets, only to an address that it has vetted, and never to our own listeners.
//! 3. Canonical or refused: decoded once, written in one way, matched as it is sent. [`request`] has the only parser of
//!    authorities, paths and queries.
//! 4. CONNECT host = server name = inner authority = certificate = scope of the credential.
//! 5. A secret in clear exists in the vault, among the tokens, in what is scrubbed for and in the outgoing request, and
//!    no type that holds one prints it.
//! 6. Fail closed: an unknown field, an unknown host, a missing secret never open anything.
//! 7. Every request ends in exactly one terminal audit record, also when the client goes away or a task panics. (A
//!    stream that HTTP/2's framing itself resets never becomes a request; those of a connection have one record for
//!    them all. With `audit.when_blocked: drop` records may be lost, and are counted.)
//! 8. No request sees two policies. What lasts longer than the policy that permitted it holds a [`lease`].
//! 9. Memory is bounded by configuration, not by traffic.
//! 10. What cannot be understood is refused, never tunnelled.
//!
//! # Vocabulary
//!
//! *intent* what was asked · *permit*, *refusal* what was decided · *fault* what broke · *problem* what is wrong in a
//! file · *vault* where secrets come from · *meter* rates · *dial* the way out · *authority* our CA · *exchange* one
//! request and its answer · *live* the policy in force · *lease* leave to go on · *drain* the way to a stop. *action,
//! connection, connector, agent, environment* are as in the policy.
//!
//! # Three decisions, with their measurements
//!
//! Ratios of CPU time per request, medians of 21 interleaved rounds with quartiles, 64 keep-alive connections, 1 KB
//! replies, against a hyper and rustls proxy without any policy (`benches/compare`).
//!
//! **The runtime.** One current-thread runtime per core, fed by one acceptor. In the bare stack tokio's multi-thread
//! runtime takes 1.08 times the CPU time for forwarded requests and 1.05 for intercepted ones on two cores (1.06–1.11
//! and 1.03–1.06), 1.08 and 1.06 on one core (1.06–1.09 and 1.04–1.07).
//! `cargo bench --bench compare -- --trial layouts`
//!
//! **Strict heads.** hyper repairs or hides `Content-Length` beside `Transfer-Encoding`, doubled lengths, bare line
//! feeds, blank lines before a head and odd chunk sizes before any code behind it can see them. So at every listener
//! HTTP/1 is read and written by [`wire`], a codec of our own that has one reading for every byte; HTTP/2, whose
//! framing leaves less room, stays with hyper. Towards servers it is the same: [`dial`] writes requests and reads
//! replies by [`wire`], in the task of the request, so that nothing of a reply crosses a channel; HTTP/2 is hyper's.
//! On a head of eight headers the strict reader takes 0.94 times the time of httparse with the same map of headers
//! built behind it; behind a filter in front of hyper every head would be parsed twice. `cargo bench --bench head`
//!
//! **Bodies.** [`body::Body`] is `Empty`, `Bytes` or `Stream`. A request's body is read whole unless its action says
//! `accept_body: any`, since its parameters are checked before anything is sent; replies stream, unless their action
//! has to read them ([`action::outcome`]). Collecting all replies would cost no speed (1.00 to 1.02 times the CPU time
//! at 1 KB and at 64 KB), but memory and the first byte's time.
//! `cargo bench --bench compare -- --trial bodies`

// -- ground --
pub mod name;
pub mod secret;
pub mod refusal;
pub mod fault;
pub mod body;
pub mod request;
pub mod address;
pub mod trace;
pub mod problem;
pub mod yaml;
pub mod json;
pub mod jsonpath;
pub mod wire;
pub mod schema;
pub mod template;
pub mod credential;
pub mod rate;
pub mod action;
pub mod policy;
pub mod toolbox;
pub mod scrub;
pub mod redact;
pub mod websocket;
// -- services --
pub mod patience;
pub mod flood;
pub mod log;
pub mod metrics;
pub mod meter;
pub mod private;
pub mod vault;
pub mod known;
pub mod agents;
pub mod sessions;
pub mod dial;
pub mod tokens;
pub mod authority;
pub mod audit;
pub mod live;
pub mod drain;
pub mod lease;
pub mod seats;
// -- spine --
pub mod rehearsal;
pub mod exchange;
pub mod proxy;
// -- faces --
pub mod browser;
pub mod admin;
pub mod mcp;
pub mod tools;
// -- whole --
pub mod app;
pub mod cli;
