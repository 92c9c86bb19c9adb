//! The checked-in protobuf code is what the `.proto` files give, so that building the server needs
//! neither `protoc` nor a build script. `UPDATE_PROTO=1 cargo test -p timberline --test generated_proto`
//! writes it anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use prost::Message as _;
use prost_types::FileDescriptorSet;

const OTLP_SERVICE: &str = "opentelemetry/proto/collector/logs/v1/logs_service.proto";

/// What `src/ingest/proto/` has.
const FILES: [&str; 6] = [
    "logproto.rs",
    "opentelemetry.proto.collector.logs.v1.rs",
    "opentelemetry.proto.common.v1.rs",
    "opentelemetry.proto.logs.v1.rs",
    "opentelemetry.proto.resource.v1.rs",
    "descriptors.bin",
];

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let compile = |files: &[&str]| protox::compile(files, [root.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .out_dir(directory.path())
        .compile_fds(compile(&["logproto.proto"]))
        .unwrap();
    generate_otlp(compile(&[OTLP_SERVICE]), directory.path());
    // For reflection, which has no use for comments.
    let mut descriptors: FileDescriptorSet = compile(&["logproto.proto", OTLP_SERVICE]);
    descriptors.file.iter_mut().for_each(|file| file.source_code_info = None);
    fs::write(directory.path().join("descriptors.bin"), descriptors.encode_to_vec()).unwrap();
    for name in FILES {
        let generated = fs::read(directory.path().join(name)).unwrap();
        let path = root.join("src/ingest/proto").join(name);
        if std::env::var_os("UPDATE_PROTO").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let checked_in = fs::read(&path).unwrap_or_default();
        assert!(
            checked_in == generated,
            "{} is out of date: run with UPDATE_PROTO=1",
            path.display()
        );
    }
}

/// The messages alone, which serde reads from OTLP's JSON, too.
fn generate_otlp(files: FileDescriptorSet, directory: &Path) {
    const JSON: &str = "crate::ingest::otlp::json";
    let mut builder = tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .build_transport(false)
        .out_dir(directory);
    for message in [
        "collector.logs.v1.ExportLogsServiceRequest",
        "logs.v1.ResourceLogs",
        "logs.v1.ScopeLogs",
        "logs.v1.LogRecord",
        "resource.v1.Resource",
        "common.v1.InstrumentationScope",
        "common.v1.KeyValue",
        "common.v1.KeyValueList",
        "common.v1.ArrayValue",
    ] {
        builder = builder.message_attribute(
            format!(".opentelemetry.proto.{message}"),
            "#[derive(serde::Deserialize)]\n#[serde(default, rename_all = \"camelCase\")]",
        );
    }
    for (function, fields) in [
        (
            "nullable",
            &[
                "collector.logs.v1.ExportLogsServiceRequest.resource_logs",
                "logs.v1.ResourceLogs.scope_logs",
                "logs.v1.ResourceLogs.schema_url",
                "logs.v1.ScopeLogs.log_records",
                "logs.v1.ScopeLogs.schema_url",
                "logs.v1.LogRecord.severity_text",
                "logs.v1.LogRecord.attributes",
                "logs.v1.LogRecord.event_name",
                "resource.v1.Resource.attributes",
                "common.v1.InstrumentationScope.name",
                "common.v1.InstrumentationScope.version",
                "common.v1.InstrumentationScope.attributes",
                "common.v1.KeyValue.key",
                "common.v1.KeyValueList.values",
                "common.v1.ArrayValue.values",
            ][..],
        ),
        (
            "integer",
            &[
                "logs.v1.LogRecord.time_unix_nano",
                "logs.v1.LogRecord.observed_time_unix_nano",
                "logs.v1.LogRecord.dropped_attributes_count",
                "logs.v1.LogRecord.flags",
                "resource.v1.Resource.dropped_attributes_count",
                "common.v1.InstrumentationScope.dropped_attributes_count",
            ],
        ),
        ("severity", &["logs.v1.LogRecord.severity_number"]),
        ("hex", &["logs.v1.LogRecord.trace_id", "logs.v1.LogRecord.span_id"]),
    ] {
        for field in fields {
            builder = builder.field_attribute(
                format!(".opentelemetry.proto.{field}"),
                format!("#[serde(deserialize_with = \"{JSON}::{function}\")]"),
            );
        }
    }
    builder.compile_fds(files).unwrap();
}
