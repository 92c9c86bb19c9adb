//! Requests as pushes.

use timberline_store::TenantId;

use super::super::super::body::Format;
use super::super::super::budget::Budget;
use super::super::super::limits::IngestLimits;
use super::super::super::push::{DecodeError, Push};
use super::super::{OtlpConfig, decode};

const NOW: i64 = 1_793_534_400_000_000_000;

/// What a request in JSON is mapped to: stream, time, line, metadata in their order.
fn mapped(
    body: &str,
    limits: &IngestLimits,
) -> Result<Vec<(String, i64, String, String)>, DecodeError> {
    let budget = Budget::new(1 << 30);
    let mut share = budget.share(&TenantId::default());
    let request = decode(body.as_bytes(), Format::OtlpJson, &mut share)?;
    let push = super::super::map(&request, limits, NOW, &mut share)?;
    Ok(told(&push))
}

fn told(push: &Push<'_>) -> Vec<(String, i64, String, String)> {
    let mut told = Vec::new();
    for stream in &push.streams {
        for entry in &push.entries[stream.entries.clone()] {
            let pairs = &push.pairs[entry.pairs.clone()];
            let pairs: Vec<_> =
                pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            told.push((
                stream.labels.to_string(),
                entry.timestamp,
                entry.line.to_string(),
                pairs.join(" "),
            ));
        }
    }
    assert_eq!(told.len(), push.entries.len(), "every entry is in one stream");
    told
}

fn request(resource: &str, scope: &str, records: &str) -> String {
    format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{resource}]}},
            "scopeLogs":[{{"scope":{{{scope}}},"logRecords":[{records}]}}]}}]}}"#
    )
}

fn attribute(name: &str, value: &str) -> String {
    format!(r#"{{"key":"{name}","value":{{"stringValue":"{value}"}}}}"#)
}

#[test]
fn everything_has_its_place() {
    let resource = [
        attribute("service.name", "shop"),
        attribute("host.name", "h1"),
        r#"{"key":"os","value":{"kvlistValue":{"values":[{"key":"type","value":{"stringValue":"linux"}},
            {"key":"bits","value":{"intValue":"64"}}]}}}"#
            .to_owned(),
        attribute("k8s.pod.name", "p-1"),
    ];
    let scope = format!(
        r#""name":"lib","version":"1.2","attributes":[{}],"droppedAttributesCount":3"#,
        attribute("scope.kind", "x")
    );
    let record = format!(
        r#"{{"timeUnixNano":"5","observedTimeUnixNano":"6","severityNumber":13,"severityText":"Warning",
            "body":{{"stringValue":"the line"}},"attributes":[{},{{"key":"list","value":{{"arrayValue":
            {{"values":[{{"intValue":1}},{{"stringValue":"a"}}]}}}}}}],"droppedAttributesCount":2,"flags":1,
            "traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0000000000000000"}}"#,
        attribute("http.method", "GET")
    );
    let found = mapped(&request(&resource.join(","), &scope, &record), &IngestLimits::default());
    assert_eq!(
        found.unwrap(),
        [(
            r#"{service_name="shop",k8s_pod_name="p-1"}"#.to_owned(),
            5,
            "the line".to_owned(),
            "http_method=GET list=[1,\"a\"] observed_timestamp=6 severity_number=13 \
             severity_text=Warning dropped_attributes_count=2 flags=1 \
             trace_id=0102030405060708090a0b0c0d0e0f10 host_name=h1 os_type=linux os_bits=64 \
             scope_kind=x scope_name=lib scope_version=1.2 scope_dropped_attributes_count=3"
                .to_owned()
        )]
    );
}

#[test]
fn times_fall_back() {
    let records = r#"{"observedTimeUnixNano":"6"},{},{"timeUnixNano":"18446744073709551615"}"#;
    let found = mapped(&request("", "", records), &IngestLimits::default()).unwrap();
    let times: Vec<_> = found.iter().map(|entry| (entry.1, entry.3.as_str())).collect();
    assert_eq!(times, [(6, ""), (NOW, ""), (i64::MAX, "")]);
}

#[test]
fn a_service_is_named_after_what_there_is() {
    for (attributes, labels) in [
        (vec![("service.name", "")], r#"{service_name=""}"#),
        (
            vec![("k8s.job.name", "j"), ("k8s.container.name", "c")],
            r#"{k8s_job_name="j",k8s_container_name="c",service_name="j"}"#,
        ),
        (vec![("k8s.pod.name", "p"), ("app", "a")], r#"{k8s_pod_name="p"}"#),
        (vec![("service.name", "a\\\"b\\n")], r#"{service_name="a\"b\n"}"#),
    ] {
        let attributes: Vec<_> =
            attributes.iter().map(|(name, value)| attribute(name, value)).collect();
        let body = request(&attributes.join(","), "", "{}");
        assert_eq!(mapped(&body, &IngestLimits::default()).unwrap()[0].0, labels);
    }
}

#[test]
fn rules_make_labels_of_records() {
    let otlp_config: OtlpConfig = serde_json::from_str(
        r#"{"severity_text_as_label":true,
            "resource_attributes":{"ignore_defaults":true,
              "attributes_config":[{"action":"index_label","attributes":["team"]},
                                   {"action":"drop","regex":"secret.*"}]},
            "log_attributes":[{"action":"index_label","attributes":["kind"]}]}"#,
    )
    .unwrap();
    let limits = IngestLimits { otlp_config, ..IngestLimits::default() };
    let resource = [("service.name", "s"), ("team", "t"), ("secret.key", "x")]
        .map(|(name, value)| attribute(name, value));
    let record = |kind: &str, line: &str| {
        format!(
            r#"{{"severityText":"INFO","body":{{"stringValue":"{line}"}},"attributes":[{}]}}"#,
            attribute("kind", kind)
        )
    };
    let records = [record("a", "1"), record("a", "2"), record("b", "3"), record("a", "4")];
    let found = mapped(&request(&resource.join(","), "", &records.join(",")), &limits).unwrap();
    let stream = |kind: &str| format!(r#"{{team="t",kind="{kind}",severity_text="INFO"}}"#);
    let streams: Vec<_> = found.iter().map(|entry| (entry.0.clone(), &*entry.2)).collect();
    assert_eq!(
        streams,
        [(stream("a"), "1"), (stream("a"), "2"), (stream("b"), "3"), (stream("a"), "4")]
    );
    assert_eq!(found[0].3, "service_name=s");
}

#[test]
fn names_that_nothing_is_left_of_are_refused() {
    for name in ["", "é"] {
        let body = request(&attribute(name, "x"), "", "{}");
        let refused = mapped(&body, &IngestLimits::default());
        assert!(matches!(refused, Err(DecodeError::Malformed(_))), "{name}");
    }
}

#[test]
fn small_bodies_that_stand_for_much_are_refused() {
    // A resource of 1,000 attributes and 100,000 records of two bytes: 200 KB that mean 100 million pairs.
    let attribute = [0x0a, 5, 0x0a, 3, b'a', b'b', b'c'];
    let resource = attribute.repeat(1000);
    let records = [0x12, 0].repeat(100_000);
    let mut logs = vec![0x0a];
    prost::encoding::encode_varint(resource.len() as u64, &mut logs);
    logs.extend(resource);
    logs.push(0x12);
    prost::encoding::encode_varint(records.len() as u64, &mut logs);
    logs.extend(records);
    let mut body = vec![0x0a];
    prost::encoding::encode_varint(logs.len() as u64, &mut body);
    body.extend(logs);
    let outcome = |bytes: usize, limits: &IngestLimits| {
        let budget = Budget::new(bytes);
        let mut share = budget.share(&TenantId::default());
        let request = decode(&body, Format::Otlp, &mut share)?;
        super::super::map(&request, limits, NOW, &mut share).map(drop)
    };
    let limits = IngestLimits { max_decompressed_size: 1 << 20, ..IngestLimits::default() };
    assert!(matches!(outcome(1 << 30, &limits), Err(DecodeError::TooLarge(_))));
    for (bytes, what) in [(64 << 20, "all"), (1 << 20, "the records alone")] {
        let refused = outcome(bytes, &IngestLimits::default());
        assert!(matches!(refused, Err(DecodeError::TooLarge(_))), "{what}: {refused:?}");
    }
}
