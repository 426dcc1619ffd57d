//! What parameters cost: planning and recognising an action with ten of them and a body template of 2 KB, checking
//! them, and checking a schema with conditions.
//!
//! `cargo bench --bench parameters`, in CPU time. The goals: planning and recognising below 10 µs each, a check of the
//! conditions below 2 µs.

mod cpu_time;
#[path = "parts/ticket_form.rs"]
mod ticket_form;

use std::hint::black_box;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use exeat::schema::Schema;
use serde_json::Value;
use serde_json::json;

use crate::cpu_time::CpuTime;
use crate::ticket_form::TicketForm;

/// The allocator of the exeat binary, on which half of the time depends.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(name = benches; config = cpu_time::criterion(); targets = request, conditions);
criterion_main!(benches);

fn request(criterion: &mut Criterion<CpuTime>) {
    let form = TicketForm::new();
    let checked = Value::Object(ticket_form::parameters());
    assert_eq!(form.action.parameters.check(&checked), Ok(()));

    let mut group = criterion.benchmark_group("parameters");
    group.bench_function("plan", |bencher| {
        let plan = |arguments| form.plan(arguments);
        bencher.iter_batched(ticket_form::arguments, plan, BatchSize::SmallInput);
    });
    group.bench_function("recognise", |bencher| {
        bencher.iter(|| black_box(&form).recognise());
    });
    group.bench_function("check", |bencher| {
        bencher.iter(|| form.action.parameters.check(black_box(&checked)));
    });
    group.finish();
}

/// The example of the documentation that people bring along: which sub-categories there are depends on the category.
fn conditions(criterion: &mut Criterion<CpuTime>) {
    let listed = |category, listed: Value| {
        json!({
            "if": {"properties": {"category": {"const": category}}},
            "then": {"properties": {"sub_category": {"enum": listed}}}
        })
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "category": {"type": "string", "enum": ["billing", "technical"], "description": "Main issue category"},
            "sub_category": {"type": "string", "description": "Specific issue type within the category"}
        },
        "required": ["category", "sub_category"],
        "allOf": [
            listed("billing", json!(["invoice_dispute", "payment_failed", "refund_request"])),
            listed("technical", json!(["login_issue", "performance", "bug_report"]))
        ]
    });
    let schema = Schema::compile(&schema).expect("a schema");
    let fits = json!({"category": "technical", "sub_category": "bug_report"});
    let differs = json!({"category": "billing", "sub_category": "bug_report"});
    assert_eq!(schema.check(&fits), Ok(()));
    let refused = schema.check(&differs).expect_err("another category");
    assert_eq!(refused.pointer, "/sub_category");

    let mut group = criterion.benchmark_group("conditions");
    group.bench_function("check", |bencher| {
        bencher.iter(|| schema.check(black_box(&fits)));
    });
    group.bench_function("refuse", |bencher| {
        bencher.iter(|| schema.check(black_box(&differs)));
    });
    group.finish();
}
