//! The checked-in protobuf code is what the `.proto` file gives, so that building the server needs
//! neither `protoc` nor a build script. `UPDATE_PROTO=1 cargo test -p timberline --test generated_proto`
//! writes it anew.

use std::fs;
use std::path::Path;

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile(["logproto.proto"], [root.join("proto")]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .out_dir(directory.path())
        .compile_fds(files)
        .unwrap();
    let generated = fs::read_to_string(directory.path().join("logproto.rs")).unwrap();
    let path = root.join("src/ingest/proto/logproto.rs");
    if std::env::var_os("UPDATE_PROTO").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == generated, "{} is out of date: run with UPDATE_PROTO=1", path.display());
}
