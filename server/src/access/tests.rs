use std::net::Ipv4Addr;

use super::*;

/// An access with one credential of each kind; all have the secret `s3cret`.
fn access(auth_enabled: bool) -> (Access, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let access = Access::new(&config(&directory, auth_enabled)).unwrap();
    (access, directory)
}

fn config(directory: &tempfile::TempDir, auth_enabled: bool) -> Config {
    let file = directory.path().join("credentials.yaml");
    let hash = hash_secret(b"s3cret").unwrap();
    let mut text = String::from("credentials:\n");
    for (name, rights, tenants) in [
        ("reader", "read", "a"),
        ("several", "read", "a, b"),
        ("writer", "write", "a"),
        ("admin", "admin", "a"),
        ("root", "read, write, admin", "'*'"),
        ("watcher", "read", "'*'"),
    ] {
        let tenants = if auth_enabled { tenants } else { "" };
        text.push_str(&format!(
            "- {{name: {name}, hash: '{hash}', rights: [{rights}], tenants: [{tenants}]}}\n"
        ));
    }
    std::fs::write(&file, text).unwrap();
    let mut config = Config { auth_enabled, ..Config::default() };
    config.server.credentials_file = file;
    config
}

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

/// What becomes of a request: the tenant header that it goes on with, or why it does not.
fn admit(access: &Access, need: Need, shown: &str, tenants: &[&str]) -> Result<String, String> {
    let mut headers = HeaderMap::new();
    if !shown.is_empty() {
        headers.insert(AUTHORIZATION, shown.parse().unwrap());
    }
    for tenant in tenants {
        headers.append(TENANT_HEADER, tenant.parse().unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let from = Ipv4Addr::LOCALHOST.into();
    runtime
        .block_on(access.admit(need, &mut headers, from))
        .map_err(|denied| denied.to_string())?;
    let left: Vec<_> =
        headers.get_all(TENANT_HEADER).iter().map(|value| value.to_str().unwrap()).collect();
    Ok(left.join(" and "))
}

const READ: Need = Need::Right(Right::Read);
const WRITE: Need = Need::Right(Right::Write);
const ADMIN: Need = Need::Right(Right::Admin);

#[test]
fn without_a_file_everyone_is_let_through() {
    let access = Access::new(&Config::default()).unwrap();
    assert_eq!(admit(&access, Need::Operator, "", &["x"]), Ok("x".to_owned()));
}

#[test]
fn names_and_secrets_are_checked() {
    let (access, _directory) = access(false);
    for shown in [
        basic("reader:s3cret"),
        "Bearer reader.s3cret".to_owned(),
        "bearer  reader.s3cret".to_owned(),
    ] {
        assert_eq!(admit(&access, READ, &shown, &[]), Ok(String::new()), "{shown}");
    }
    assert_eq!(admit(&access, READ, "", &[]), Err("no credentials".to_owned()));
    assert_eq!(admit(&access, Need::Nothing, "", &[]), Ok(String::new()));
    for shown in [
        basic("reader:S3cret"),
        basic("reader:"),
        basic("reader"),
        basic("nobody:s3cret"),
        basic(":s3cret"),
        "Basic %%%".to_owned(),
        "Basic".to_owned(),
        "Bearer reader".to_owned(),
        "Bearer s3cret".to_owned(),
        "Bearer writer.s3cretx".to_owned(),
        "Digest reader.s3cret".to_owned(),
    ] {
        let denied = admit(&access, READ, &shown, &[]);
        assert_eq!(denied, Err("wrong credentials".to_owned()), "{shown}");
    }
}

#[test]
fn every_need_has_its_right() {
    let (access, _directory) = access(true);
    let may =
        |name: &str, need| admit(&access, need, &format!("Bearer {name}.s3cret"), &["a"]).is_ok();
    let needs = [Need::Anyone, READ, WRITE, ADMIN, Need::Figures, Need::Operator];
    for (name, allowed) in [
        ("reader", [true, true, false, false, false, false]),
        ("writer", [true, false, true, false, false, false]),
        ("admin", [true, false, false, true, false, false]),
        ("watcher", [true, true, false, false, true, false]),
        ("root", [true; 6]),
    ] {
        assert_eq!(needs.map(|need| may(name, need)), allowed, "{name}");
    }
    let denied = admit(&access, WRITE, "Bearer reader.s3cret", &[]).unwrap_err();
    assert_eq!(denied, "credential 'reader' lacks the right to write");
}

#[test]
fn tenants_are_bound_to_the_credential() {
    let (access, _directory) = access(true);
    let admit = |name: &str, tenants: &[&str]| {
        admit(&access, READ, &format!("Bearer {name}.s3cret"), tenants)
    };
    assert_eq!(admit("reader", &[]), Ok("a".to_owned()), "the only one there is");
    assert_eq!(admit("reader", &[""]), Ok("a".to_owned()));
    assert_eq!(admit("reader", &["a"]), Ok("a".to_owned()));
    assert_eq!(admit("reader", &["a:b|a"]), Ok("a".to_owned()));
    assert_eq!(admit("several", &[]), Ok(String::new()), "the handler asks for one");
    assert_eq!(admit("several", &["b|a|b"]), Ok("a|b".to_owned()));
    assert_eq!(admit("root", &["x|y"]), Ok("x|y".to_owned()));
    let foreign = |name: &str| Err(format!("credential '{name}' is not for tenant 'c'"));
    assert_eq!(admit("reader", &["c"]), foreign("reader"));
    assert_eq!(admit("reader", &["a|c"]), foreign("reader"));
    assert_eq!(admit("several", &["c|a"]), foreign("several"));
    let several = Err("multiple org IDs present".to_owned());
    assert_eq!(admit("reader", &["a", "c"]), several);
    assert_eq!(admit("reader", &["", "c"]), several);
    assert!(admit("reader", &["a/../c"]).unwrap_err().contains("unsupported character"));
}

#[test]
fn a_file_may_change() {
    let (access, directory) = access(false);
    let shown = basic("reader:s3cret");
    assert!(admit(&access, READ, &shown, &[]).is_ok());
    let file = directory.path().join("credentials.yaml");
    std::fs::write(&file, "credentials: [").unwrap();
    assert!(access.reload().is_err());
    assert!(admit(&access, READ, &shown, &[]).is_ok(), "as before");
    std::fs::write(&file, "credentials: []").unwrap();
    access.reload().unwrap();
    assert!(admit(&access, READ, &shown, &[]).is_err(), "although it was right before");
    assert!(Access::new(&Config { auth_enabled: true, ..config(&directory, false) }).is_err());
}

#[test]
fn refusals_have_a_status_and_a_code() {
    let foreign = Denied::Foreign { name: "n".to_owned(), tenant: "t".to_owned() };
    for (denied, status, code) in [
        (Denied::NoCredentials, 401, 16),
        (Denied::Wrong, 401, 16),
        (Denied::Busy, 429, 8),
        (foreign, 403, 7),
        (Denied::Tenant(TenantError::Several), 400, 3),
    ] {
        let plain = denied.clone().into_response(false);
        assert_eq!(plain.status().as_u16(), status);
        assert_eq!(plain.headers().contains_key(WWW_AUTHENTICATE), status == 401);
        let grpc = denied.into_response(true);
        assert_eq!(grpc.status().as_u16(), 200);
        assert_eq!(grpc.headers()["grpc-status"], code.to_string());
    }
}
