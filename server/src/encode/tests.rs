use std::time::Duration;

use timberline_query::{
    EntryResult, QueryAnswer, QueryStats, QueryValue, Sample, Series, StreamResult,
};
use timberline_store::{IndexStats, Labels};

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::metadata(pairs.iter().copied()).unwrap()
}

fn encode(value: QueryValue, encoding: &Encoding, warnings: &[&str]) -> String {
    let stats = QueryStats {
        bytes_processed: 1000,
        lines_processed: 10,
        lines_matched: 7,
        compressed_bytes: 90,
        metadata_bytes: 50,
        chunks_read: 3,
        chunks_matched: 2,
        bytes_in_memory: 300,
        lines_in_memory: 4,
        lines_matched_in_memory: 2,
        metadata_bytes_in_memory: 20,
        chunks_in_memory: 1,
        batches_in_memory: 1,
        streams_matched: 1,
        entries_returned: 1,
        exec_seconds: 0.5,
    };
    let warnings = warnings.iter().map(|warning| (*warning).to_owned()).collect();
    let body = answer(&QueryAnswer { value, stats, warnings }, encoding, Duration::ZERO);
    String::from_utf8(body).unwrap()
}

/// The body up to the statistics.
fn head(body: &str) -> &str {
    body.split(r#","stats":"#).next().unwrap()
}

fn streams() -> QueryValue {
    let entry = |line: &str, metadata: &[(&str, &str)], parsed: &[(&str, &str)]| EntryResult {
        timestamp: 1_793_538_000_000_000_001,
        line: line.as_bytes().into(),
        structured_metadata: labels(metadata),
        parsed: labels(parsed),
    };
    QueryValue::Streams(vec![StreamResult {
        labels: labels(&[("b", "2"), ("a", "<1>")]),
        entries: vec![
            entry("x", &[], &[]),
            entry("y", &[("m", "1")], &[("p", "2")]),
            entry("z", &[], &[("p", "")]),
        ],
    }])
}

#[test]
fn streams_have_two_elements_unless_categories_are_asked_for() {
    let body = encode(streams(), &Encoding::default(), &[]);
    assert_eq!(
        head(&body),
        r#"{"status":"success","data":{"resultType":"streams","result":[{"stream":{"a":"\u003c1\u003e","b":"2"},"values":[["1793538000000000001","x"],["1793538000000000001","y"],["1793538000000000001","z"]]}]"#
    );
    assert!(body.ends_with("}}\n"));
    let flags = vec!["other".to_owned(), "categorize-labels".to_owned()];
    let body = encode(streams(), &Encoding { flags }, &["w"]);
    assert_eq!(
        head(&body),
        r#"{"status":"success","warnings":["w"],"data":{"resultType":"streams","encodingFlags":["other","categorize-labels"],"result":[{"stream":{"a":"\u003c1\u003e","b":"2"},"values":[["1793538000000000001","x",{}],["1793538000000000001","y",{"structuredMetadata":{"m":"1"},"parsed":{"p":"2"}}],["1793538000000000001","z",{"parsed":{"p":""}}]]}]"#
    );
}

#[test]
fn metric_answers() {
    let points = vec![(1_000, 1.0), (1_500, f64::NAN)];
    let matrix = QueryValue::Matrix(vec![Series { labels: labels(&[]), points }]);
    let body = encode(matrix, &Encoding { flags: vec!["categorize-labels".to_owned()] }, &["w"]);
    assert_eq!(
        head(&body),
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[1.5,"NaN"]]}]"#
    );
    assert!(body.ends_with(r#"}},"warnings":["w"]}"#), "{body}");
    let sample = Sample { labels: labels(&[("a", "1")]), timestamp_ms: 2_000, value: 0.5 };
    let body = encode(QueryValue::Vector(vec![sample]), &Encoding::default(), &[]);
    assert_eq!(
        head(&body),
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1"},"value":[2,"0.5"]}]"#
    );
    let scalar = QueryValue::Scalar { timestamp_ms: 1_793_538_000_000, value: 512.0 };
    let body = encode(scalar, &Encoding::default(), &[]);
    assert_eq!(
        head(&body),
        r#"{"status":"success","data":{"resultType":"scalar","result":[4203824850173,"512"]"#
    );
}

#[test]
fn empty_results_are_lists() {
    for (value, kind) in [
        (QueryValue::Streams(Vec::new()), "streams"),
        (QueryValue::Matrix(Vec::new()), "matrix"),
        (QueryValue::Vector(Vec::new()), "vector"),
    ] {
        let body = encode(value, &Encoding::default(), &[]);
        let expected =
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[]"#);
        assert_eq!(head(&body), expected);
    }
}

#[test]
fn statistics_are_complete_and_whole() {
    let body = encode(streams(), &Encoding::default(), &[]);
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    let stats = &json["data"]["stats"];
    let at = |pointer: &str| stats.pointer(pointer).unwrap_or(&serde_json::Value::Null).as_u64();
    assert_eq!(at("/summary/bytesProcessedPerSecond"), Some(2000));
    assert_eq!(at("/summary/linesProcessedPerSecond"), Some(20));
    assert_eq!(at("/summary/totalBytesProcessed"), Some(1000));
    assert_eq!(at("/summary/totalPostFilterLines"), Some(7));
    assert_eq!(at("/querier/store/totalChunksDownloaded"), Some(2));
    assert_eq!(at("/querier/store/chunk/decompressedLines"), Some(6));
    assert_eq!(at("/querier/store/chunk/decompressedBytes"), Some(700));
    assert_eq!(at("/querier/store/chunk/compressedBytes"), Some(90));
    assert_eq!(at("/ingester/store/chunk/compressedBytes"), Some(0));
    assert_eq!(at("/querier/store/dataobj/totalPageDownloadTime"), Some(0));
    assert_eq!(at("/ingester/totalReached"), Some(1));
    assert_eq!(at("/ingester/totalChunksMatched"), Some(1));
    assert_eq!(at("/ingester/store/chunk/headChunkBytes"), Some(300));
    assert_eq!(at("/ingester/store/chunk/headChunkLines"), Some(4));
    assert_eq!(at("/ingester/totalLinesSent"), Some(2));
    assert_eq!(at("/ingester/totalBatches"), Some(1));
    assert_eq!(at("/ingester/store/chunk/postFilterLines"), Some(2));
    assert_eq!(at("/querier/store/chunk/postFilterLines"), Some(5));
    assert_eq!(at("/ingester/store/chunk/headChunkStructuredMetadataBytes"), Some(20));
    assert_eq!(at("/querier/store/chunk/decompressedStructuredMetadataBytes"), Some(30));
    assert_eq!(at("/summary/totalStructuredMetadataBytesProcessed"), Some(50));
    assert_eq!(at("/index/postFilterChunks"), Some(2));
    assert_eq!(at("/index/totalStreams"), Some(1));
    assert_eq!(at("/cache/instantMetricResult/queryLengthServed"), Some(0));
    assert_eq!(stats["summary"]["execTime"], 0.5);
    assert_eq!(stats["index"]["usedBloomFilters"], false);
}

#[test]
fn lists() {
    let empty: [String; 0] = [];
    assert_eq!(texts(&empty), b"{\"status\":\"success\"}\n");
    let names = ["a".to_owned(), "b".to_owned()];
    assert_eq!(texts(&names), b"{\"status\":\"success\",\"data\":[\"a\",\"b\"]}\n");
    assert_eq!(series(&[]), b"{\"status\":\"success\",\"data\":[]}\n");
    assert_eq!(
        series(&[labels(&[("a", "1")]), labels(&[("b", "2")])]),
        b"{\"status\":\"success\",\"data\":[{\"a\":\"1\"},{\"b\":\"2\"}]}\n"
    );
    let stats = IndexStats { streams: 1, chunks: 2, entries: 4, bytes: 3 };
    assert_eq!(index_stats(&stats), b"{\"streams\":1,\"chunks\":2,\"bytes\":3,\"entries\":4}\n");
    assert_eq!(invalid_query("x"), b"{\"status\":\"invalid-query\",\"error\":\"x\"}\n");
}
