//! What the parts of a request's way cost in instructions, which neither other work on the machine nor a clock changes:
//! valgrind counts them, one function at a time.
//!
//! `benches/counts/run` counts and compares with `benches/counts/baseline`, and `cargo bench --bench counts` counts
//! only. A count is of [`TIMES`] times, without what is done in `ready_*`.

#![expect(
    missing_docs,
    reason = "what gungraun's macros write is public, and says nothing"
)]

#[path = "../parts/client_head.rs"]
mod client_head;
#[path = "../parts/declared.rs"]
mod declared;
#[path = "../parts/replies.rs"]
mod replies;
#[path = "../parts/ticket_form.rs"]
mod ticket_form;
#[path = "../parts/told.rs"]
mod told;

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use bytes::BytesMut;
use exeat::action::Arguments;
use exeat::audit::Audit;
use exeat::audit::Queue;
use exeat::audit::Sink;
use exeat::credential::Credential;
use exeat::credential::Draft;
use exeat::credential::Form;
use exeat::credential::Place;
use exeat::credential::Secrets;
use exeat::credential::Source;
use exeat::metrics::Metrics;
use exeat::name::ConnectorName;
use exeat::name::SecretName;
use exeat::policy::Permit;
use exeat::scrub::Forms;
use exeat::secret::Secret;
use exeat::wire::HeadLimits;
use exeat::wire::HeadReader;
use gungraun::Callgrind;
use gungraun::EntryPoint;
use gungraun::LibraryBenchmarkConfig;
use gungraun::library_benchmark;
use gungraun::library_benchmark_group;
use gungraun::main;
use http::HeaderMap;
use http::HeaderValue;
use http::header::ACCEPT;
use http::header::ACCEPT_ENCODING;
use http::header::USER_AGENT;

use crate::client_head::HEAD;
use crate::declared::Declared;
use crate::replies::json;
use crate::replies::secrets;
use crate::replies::through;
use crate::ticket_form::TicketForm;
use crate::ticket_form::arguments;
use crate::told::Told;

/// The allocator of the exeat binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

main!(
    config = only_callgrind(EntryPoint::Default),
    library_benchmark_groups = parts
);

fn only_callgrind(counted: EntryPoint) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind.entry_point(counted);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

library_benchmark_group!(
    name = parts,
    benchmarks = [
        head, decide, refuse, plan, recognise, credential, outgoing, scrub, ticket, line
    ]
);

/// Many, so that a table that is hashed with another seed each time, or an allocator that tidies up now and then, makes
/// no difference.
const TIMES: usize = 1000;

#[library_benchmark(setup = ready_head)]
fn head(mut ready: (HeadReader, Vec<BytesMut>)) -> (HeadReader, Vec<BytesMut>) {
    let (reader, buffers) = &mut ready;
    for buffer in buffers {
        drop(black_box(reader.read(buffer)));
    }
    ready
}

fn ready_head() -> (HeadReader, Vec<BytesMut>) {
    let mut reader = HeadReader::new(HeadLimits::default());
    let read = reader.read(&mut BytesMut::from(HEAD));
    assert!(matches!(read, Ok(Some(_))));
    (reader, repeated(|| BytesMut::from(HEAD)))
}

#[library_benchmark(setup = Declared::of)]
#[bench::of_10(10)]
#[bench::of_1000(1000)]
fn decide(ready: Declared) -> Declared {
    for intent in ready.intents.iter().cycle().take(TIMES) {
        drop(black_box(ready.whole(black_box(intent))));
    }
    ready
}

#[library_benchmark(setup = Declared::of)]
#[bench::of_1000(1000)]
fn refuse(ready: Declared) -> Declared {
    for _ in 0..TIMES {
        drop(black_box(ready.whole(black_box(&ready.undeclared))));
    }
    ready
}

#[library_benchmark(setup = ready_plan)]
fn plan((form, arguments): (TicketForm, Vec<Arguments>)) -> TicketForm {
    for arguments in arguments {
        drop(black_box(form.plan(arguments)));
    }
    form
}

fn ready_plan() -> (TicketForm, Vec<Arguments>) {
    (TicketForm::new(), repeated(arguments))
}

#[library_benchmark(setup = TicketForm::new)]
fn recognise(form: TicketForm) -> TicketForm {
    for _ in 0..TIMES {
        drop(black_box(black_box(&form).recognise()));
    }
    form
}

#[library_benchmark(setup = ready_credential)]
#[bench::bearer(bearer())]
#[bench::basic(basic())]
fn credential(mut ready: (Credential, Secrets, Vec<Draft>)) -> (Credential, Secrets, Vec<Draft>) {
    let (credential, secrets, drafts) = &mut ready;
    for draft in drafts {
        drop(black_box(credential.write(secrets, draft)));
    }
    ready
}

fn ready_credential(credential: Credential) -> (Credential, Secrets, Vec<Draft>) {
    let secrets = api_token();
    let written = credential.write(&secrets, &mut Draft::default());
    written.expect("letters can stand in a header");
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("bench"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let draft = || Draft {
        headers: headers.clone(),
        ..Draft::default()
    };
    (credential, secrets, repeated(draft))
}

// From a permit to the message that is written: credentials put in, and the target.
#[library_benchmark(setup = ready_outgoing)]
fn outgoing((secrets, permits): (Secrets, Vec<Permit>)) -> Secrets {
    for permit in permits {
        let outgoing = permit.equip(&secrets);
        drop(black_box(outgoing.map(|it| it.into_request())));
    }
    secrets
}

fn ready_outgoing() -> (Secrets, Vec<Permit>) {
    let declared = Declared::of(10);
    let secrets = api_token();
    let mut intents = declared.intents.iter().cycle();
    let mut permit = || declared.permit(intents.next().expect("a cycle has no end"));
    let outgoing = permit().equip(&secrets).expect("the token is there");
    outgoing.into_request().expect("a target");
    (secrets, repeated(permit))
}

#[library_benchmark(setup = ready_scrub)]
#[bench::of_1_kib(1024)]
#[bench::of_64_kib(64 * 1024)]
fn scrub(ready: (Arc<Forms>, Bytes)) -> (Arc<Forms>, Bytes) {
    let (forms, text) = &ready;
    for _ in 0..TIMES {
        through(forms, black_box(text));
    }
    ready
}

fn ready_scrub(bytes: usize) -> (Arc<Forms>, Bytes) {
    let ready = (Arc::new(Forms::of(&secrets(40))), Bytes::from(json(bytes)));
    through(&ready.0, &ready.1);
    ready
}

// What a request does for its record: a ticket opened, told everything and closed.
#[library_benchmark(setup = ready_ticket)]
fn ticket(ready: (Told, Audit, mpsc::Sender<()>)) -> (Told, Audit, mpsc::Sender<()>) {
    for _ in 0..TIMES {
        ready.0.record(&ready.1);
    }
    ready
}

fn ready_ticket() -> (Told, Audit, mpsc::Sender<()>) {
    let (held, gate) = mpsc::channel();
    let metrics = Arc::new(Metrics::new());
    let audit = Audit::to(Held(gate), Queue::default(), &metrics).expect("the writer starts");
    let told = Told::new();
    told.record(&audit);
    (told, audit, held)
}

// What the writer makes of it: a line with its hash. Of all threads but the first, all is counted.
#[library_benchmark(config = only_callgrind(EntryPoint::from("*::thread_start")))]
fn line() {
    let (told, audit, held) = ready_ticket();
    for _ in 1..TIMES {
        told.record(&audit);
    }
    drop(held);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(audit.flush());
    assert_eq!(audit.head().seq, TIMES as u64);
}

/// Takes nothing before the other end is gone, and everything then: how often the writer sleeps and is woken between
/// records would depend on the clock.
struct Held(mpsc::Receiver<()>);

impl Sink for Held {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Nothing is ever sent: an error is the end of waiting.
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn repeated<T>(one: impl FnMut() -> T) -> Vec<T> {
    std::iter::repeat_with(one).take(TIMES).collect()
}

fn bearer() -> Credential {
    Credential {
        place: Place::AUTHORIZATION,
        form: Form::Prefixed {
            prefix: "Bearer ".into(),
            value: Source::Secret(token_name()),
        },
        placeholder: None,
    }
}

fn basic() -> Credential {
    Credential {
        place: Place::AUTHORIZATION,
        form: Form::Basic {
            connector: ConnectorName::parse("api").expect("a name"),
            username: Source::Literal("bench".into()),
            password: Source::Secret(token_name()),
        },
        placeholder: None,
    }
}

/// The secret of the policies of these benches.
fn api_token() -> Secrets {
    let mut fetched = Secrets::default();
    let token = Secret::new(b"Zm9ydHktY2hhcmFjdGVycy1hcy1tb3N0LXRva2Vu".to_vec());
    fetched.insert(token_name(), token.expect("letters are a secret"));
    fetched
}

fn token_name() -> SecretName {
    SecretName::parse("api_token").expect("a name")
}
