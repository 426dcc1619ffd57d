//! `custom-api-actions`, the secure example: a customer is verified first, and nobody gets round it. The policy is the
//! shipped one.

use super::row::{Row, row};

#[test]
fn verifying_before_looking_up() {
    super::prove("custom-api-actions", super::action_forms::LINES, &rows());
}

const VERIFIED: &str = r#"{"verified":true,"customer_name":"John Smith"}"#;
const ORDERS: &str = r#"{"orders":[{"id":"ORD-789","status":"shipped"}]}"#;

fn rows() -> Vec<Row> {
    let verify = r#"{"customer_id":"12345","phone_pin":"5678"}"#;
    let policy = || super::shipped("order-lookup.yaml");
    let orders = "GET https://api.company.com/customers/12345/orders";
    let look = r#"{"customer_id":"12345"}"#;
    let verifying = "POST https://api.company.com/auth/verify";
    vec![
        row(27, "Always authenticate customers before calling APIs").policy(policy())
            .sends(orders).refused("precondition_unmet").told("verify_customer")
            .calling("lookup_orders", look).refused("precondition_unmet").told("verify_customer"),
        row(42, "https://api.company.com/auth/verify").policy(policy())
            .calling("verify_customer", verify).answered(200, VERIFIED).leaves("POST /auth/verify").body(verify).hides("5678"),
        row(43, "{\"customer_id\": \"12345\", \"phone_pin\": \"5678\"}").policy(policy())
            .posts(verifying, verify).answered(200, VERIFIED).body(verify).outcome("verified").hides("5678"),
        row(44, "{ \"verified\": true, \"customer_name\": \"John Smith\" }").policy(policy())
            .calling("verify_customer", verify).answered(200, VERIFIED).outcome("verified")
            .returned(VERIFIED).variables(r#"{"customer.name":"John Smith"}"#),
        row(46, "[Only if verified, then call order lookup]").policy(policy())
            .posts(verifying, verify).answered(200, VERIFIED).outcome("verified")
            .sends(orders).answered(200, ORDERS).returned(ORDERS)
            .calling("lookup_orders", look).answered(200, ORDERS).returned(ORDERS),
        row(47, "https://api.company.com/customers/12345/orders").policy(policy())
            .calling("verify_customer", verify).answered(200, VERIFIED).outcome("verified")
            .sends(orders).leaves("GET /customers/12345/orders")
            .sends("GET https://api.company.com/customers/12346/orders").refused("precondition_unmet")
            .calling("lookup_orders", r#"{"customer_id":"12346"}"#).refused("precondition_unmet"),
        row(48, "{ \"orders\": [{\"id\": \"ORD-789\", \"status\": \"shipped\"").policy(policy())
            .calling("verify_customer", verify).answered(200, VERIFIED).outcome("verified")
            .calling("lookup_orders", look).answered(200, ORDERS).returned(ORDERS).outcome("found"),
        row(53, "authenticates using customer ID + PIN/password").policy(policy())
            .calling("verify_customer", r#"{"customer_id":"12345"}"#).refused("parameter_missing").told("phone_pin")
            .calling("verify_customer", r#"{"customer_id":"12345","phone_pin":"56-8"}"#).refused("parameter_invalid"),
        row(54, "only executed if verification succeeds").policy(policy())
            .posts(verifying, verify).answered(200, r#"{"verified":false}"#).outcome("not_verified")
            .sends(orders).refused("precondition_unmet")
            .posts(verifying, verify).answered(500, VERIFIED).outcome("failed")
            .sends(orders).refused("precondition_unmet")
            .posts(verifying, verify).answered(200, VERIFIED).outcome("verified")
            .sends(orders).leaves("GET /customers/12345/orders")
            .posts(verifying, r#"{"customer_id":"12345","phone_pin":"0000"}"#).answered(200, r#"{"verified":false}"#).outcome("not_verified")
            .sends(orders).refused("precondition_unmet"),
        row(61, "\"I'm unable to verify that information. For security").policy(policy())
            .calling("verify_customer", verify).answered(200, r#"{"verified":false}"#).outcome("not_verified")
            .says("I'm unable to verify that information. For security, hand the customer over to the verification team."),
        row(64, "If verification succeeds").policy(policy())
            .calling("verify_customer", verify).answered(200, VERIFIED).outcome("verified")
            .calling("lookup_orders", look).answered(200, ORDERS).outcome("found"),
    ]
}
