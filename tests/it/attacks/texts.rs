//! What `exeat check` says of a text, without a file.

/// Whether a policy is loaded, and everything that is told of it.
pub fn check(policy: &str) -> (bool, String) {
    let loaded = exeat::policy::from_texts(&[("policy.yaml".into(), policy.into())]);
    let told = loaded.problems.sorted();
    let told = told.iter().map(|it| {
        let remedy = it.remedy_text().unwrap_or_default();
        format!("{}\n  {remedy}\n", it.headline())
    });
    (loaded.policy.is_some(), told.collect())
}

/// Checks a policy that must not be loaded; what is told says this.
pub fn refused(policy: &str, says: &str) {
    let (is_loaded, told) = check(policy);
    assert!(
        !is_loaded && told.contains(says),
        "{says}: {policy}\n{told}"
    );
}
