//! Reads over gRPC: `logproto.Querier`, health and reflection.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; helpers are shared"
)]

mod common;

use common::grpc::{self, block_on, call, call_streaming};
use common::{TestServer, lines};
use prost_types::Timestamp;
use serde_json::{Value, json};
use timberline::ingest::proto::logproto::{
    Direction, IndexStatsRequest, IndexStatsResponse, LabelRequest, LabelResponse, QueryRequest,
    QueryResponse, SampleQueryRequest, SampleQueryResponse, SeriesRequest, SeriesResponse,
    TailRequest, TailResponse, TailersCountRequest, TailersCountResponse, VolumeRequest,
    VolumeResponse,
};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::StreamExt as _;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

const SECOND: i64 = 1_793_538_000;

/// A server with ten lines of two jobs, one a second.
fn start() -> TestServer {
    let server = TestServer::start(common::accept_any_time);
    for number in 0..10 {
        let job = if number % 2 == 0 { "even" } else { "odd" };
        push(&server, job, number, &format!("n={number} level=info"));
    }
    server
}

fn push(server: &TestServer, job: &str, seconds: i64, line: &str) {
    let values: Value = json!([[format!("{}000000000", SECOND + seconds), line]]);
    let body = json!({"streams": [{"stream": {"job": job}, "values": values}]});
    assert_eq!(server.push(&body.to_string()).status, 204);
}

fn time(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: SECOND + seconds, nanos: 0 })
}

fn query(selector: &str, limit: u32, direction: Direction) -> QueryRequest {
    QueryRequest {
        selector: selector.to_owned(),
        limit,
        start: time(0),
        end: time(10),
        direction: direction.into(),
    }
}

fn lines_of(answers: &[QueryResponse]) -> Vec<(String, Vec<String>)> {
    let streams = answers.iter().flat_map(|answer| &answer.streams);
    let told = streams.map(|stream| {
        let lines = stream.entries.iter().map(|entry| entry.line.clone());
        (stream.labels.clone(), lines.collect())
    });
    told.collect()
}

#[test]
fn log_queries_answer_entries() {
    let server = start();
    let request = query(r#"{job="odd"} |= "n=" != "n=3""#, 2, Direction::Backward);
    let found: Vec<QueryResponse> =
        call_streaming(&server, "/logproto.Querier/Query", request).unwrap();
    let labels = r#"{detected_level="info", job="odd", service_name="odd"}"#;
    let expected = ["n=9 level=info", "n=7 level=info"].map(str::to_owned).to_vec();
    assert_eq!(lines_of(&found), [(labels.to_owned(), expected)]);
    assert_eq!(found[0].streams[0].entries[0].timestamp, time(9));
    let refused = |selector: &str| {
        let request = query(selector, 10, Direction::Forward);
        call_streaming::<_, QueryResponse>(&server, "/logproto.Querier/Query", request).unwrap_err()
    };
    let status = refused("{job=}");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("parse error at line 1, col 6"), "{}", status.message());
    assert_eq!(refused("vector(1)").message(), "only log selector is supported");
}

#[test]
fn large_answers_come_in_parts() {
    let server = TestServer::start(common::accept_any_time);
    let long = "x".repeat(200_000);
    for number in 0..30 {
        push(&server, "big", number, &format!("{number} {long}"));
    }
    let request =
        QueryRequest { end: time(100), ..query(r#"{job="big"}"#, 100, Direction::Forward) };
    let found: Vec<QueryResponse> =
        call_streaming(&server, "/logproto.Querier/Query", request).unwrap();
    assert!(found.len() >= 6, "{} parts of 6 MB", found.len());
    let lines: Vec<String> = lines_of(&found).into_iter().flat_map(|(_, lines)| lines).collect();
    let numbers: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, (0..30).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn samples_of_a_metric_query() {
    let server = start();
    let request = SampleQueryRequest {
        selector: r#"sum by (job) (sum_over_time({job="odd"} | logfmt | unwrap n [1m]))"#
            .to_owned(),
        start: time(0),
        end: time(6),
    };
    let found: Vec<SampleQueryResponse> =
        call_streaming(&server, "/logproto.Querier/QuerySample", request).unwrap();
    let series = &found[0].series[0];
    assert_eq!(series.labels, r#"{job="odd"}"#);
    let samples: Vec<_> =
        series.samples.iter().map(|sample| (sample.timestamp, sample.value)).collect();
    let nanos = |seconds: i64| (SECOND + seconds) * 1_000_000_000;
    assert_eq!(samples, [(nanos(1), 1.0), (nanos(3), 3.0), (nanos(5), 5.0)]);
}

#[test]
fn labels_series_statistics_and_volumes() {
    let server = start();
    let label = |name: &str, values, query: &str| -> LabelResponse {
        let (start, end) = (time(0), time(10));
        let request =
            LabelRequest { name: name.to_owned(), values, start, end, query: query.to_owned() };
        call(&server, "/logproto.Querier/Label", None, request).unwrap()
    };
    assert_eq!(label("", false, "").values, ["job", "service_name"]);
    assert_eq!(label("job", true, "").values, ["even", "odd"]);
    assert_eq!(label("job", true, r#"{service_name="odd"}"#).values, ["odd"]);

    let request =
        SeriesRequest { start: time(0), end: time(10), groups: vec![r#"{job="odd"}"#.to_owned()] };
    let found: SeriesResponse = call(&server, "/logproto.Querier/Series", None, request).unwrap();
    let labels: Vec<_> =
        found.series[0].labels.iter().map(|label| (&*label.key, &*label.value)).collect();
    assert_eq!((found.series.len(), labels), (1, vec![("job", "odd"), ("service_name", "odd")]));

    let (from, through) = (SECOND * 1000, (SECOND + 10) * 1000);
    let request = IndexStatsRequest { from, through, matchers: r#"{job=~".+"}"#.to_owned() };
    let stats: IndexStatsResponse =
        call(&server, "/logproto.Querier/GetStats", None, request).unwrap();
    assert_eq!((stats.streams, stats.entries), (2, 10));
    let request = VolumeRequest {
        from,
        through,
        matchers: r#"{job=~".+"}"#.to_owned(),
        limit: 1,
        ..VolumeRequest::default()
    };
    let volume: VolumeResponse =
        call(&server, "/logproto.Querier/GetVolume", None, request).unwrap();
    assert_eq!(volume.volumes.len(), 1);
    assert_eq!(volume.volumes[0].name, r#"{job="even"}"#);
    assert!(volume.volumes[0].volume >= 70);
}

#[test]
fn tails_give_history_and_what_comes() {
    let server = start();
    let request =
        TailRequest { query: r#"{job="odd"}"#.to_owned(), delay_for: 0, limit: 2, start: time(0) };
    let found = block_on(async {
        let mut client = grpc::client(server.address()).await;
        let codec = ProstCodec::<TailRequest, TailResponse>::default();
        let method = PathAndQuery::from_static("/logproto.Querier/Tail");
        let answer = client.server_streaming(grpc::request(None, request), method, codec).await?;
        let mut answers = answer.into_inner();
        let mut found = Vec::new();
        while found.len() < 4 {
            let stream = answers.message().await?.unwrap().stream.unwrap();
            found.extend(stream.entries.into_iter().map(|entry| entry.line));
            if found.len() == 2 {
                // Beside this runtime, which would otherwise wait for itself.
                let count = || -> TailersCountResponse {
                    let path = "/logproto.Querier/TailersCount";
                    call(&server, path, None, TailersCountRequest {}).unwrap()
                };
                let tails = std::thread::scope(|scope| scope.spawn(count).join().unwrap());
                assert_eq!(tails.count, 1);
                push(&server, "even", 20, "not asked for");
                push(&server, "odd", 20, "live");
                push(&server, "odd", 21, "live, too");
            }
        }
        Ok::<_, Status>(found)
    });
    let expected = ["n=7 level=info", "n=9 level=info", "live", "live, too"];
    assert_eq!(found.unwrap(), expected);
    let nanos = |seconds: i64| (SECOND + seconds) * 1_000_000_000;
    let all = lines(server.address(), r#"{job="odd"}"#, nanos(0), nanos(60));
    assert_eq!(all.len(), 7);
}

#[test]
fn health_is_told() {
    let server = start();
    let check = |service: &str| -> Result<HealthCheckResponse, Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        call(&server, "/grpc.health.v1.Health/Check", None, request)
    };
    const SERVING: i32 = 1;
    assert_eq!(check("").unwrap().status, SERVING);
    assert_eq!(check("logproto.Querier").unwrap().status, SERVING);
    assert_eq!(check("nobody").unwrap_err().code(), Code::NotFound);
}

#[test]
fn reflection_lists_the_services() {
    let server = start();
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let names = block_on(async {
        let mut client = grpc::client(server.address()).await;
        let codec = ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        let requests = tonic::codegen::tokio_stream::once(request);
        let requests = tonic::Request::new(requests);
        let answer = client.streaming(requests, PathAndQuery::from_static(path), codec).await;
        let answer = answer.unwrap().into_inner().next().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("no list")
        };
        list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
    });
    for name in [
        "grpc.health.v1.Health",
        "logproto.Pusher",
        "logproto.Querier",
        "opentelemetry.proto.collector.logs.v1.LogsService",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
}
