//! The `stats` object of query answers.
//!
//! Clients read it into fixed types and fail on what is missing or has a fraction where none belongs, so
//! all of it is there. What is in memory stands where Loki has what its ingesters found, what is in
//! segments where it has what its store did. Figures that describe the insides of Loki (caches, splits,
//! shards, bloom filters) are zero here, since there are none.

use std::time::Duration;

use timberline_query::QueryStats;

use super::json::Json;

/// The caches that Loki reports on.
const CACHES: [&str; 8] = [
    "chunk",
    "index",
    "result",
    "statsResult",
    "volumeResult",
    "seriesResult",
    "labelResult",
    "instantMetricResult",
];

const NO_CACHE: &str = r#"{"entriesFound":0,"entriesRequested":0,"entriesStored":0,"bytesReceived":0,"bytesSent":0,"requests":0,"downloadTime":0,"queryLengthServed":0}"#;

const NO_DATAOBJ: &str = r#""dataobj":{"prePredicateDecompressedRows":0,"prePredicateDecompressedBytes":0,"prePredicateDecompressedStructuredMetadataBytes":0,"postPredicateRows":0,"postPredicateDecompressedBytes":0,"postPredicateStructuredMetadataBytes":0,"postFilterRows":0,"pagesScanned":0,"pagesDownloaded":0,"pagesDownloadedBytes":0,"pageBatches":0,"totalRowsAvailable":0,"totalPageDownloadTime":0}"#;

/// Writes the object. `queued` is how long the query waited for its turn.
pub(super) fn write(out: &mut Json, stats: &QueryStats, queued: Duration) {
    out.raw(r#"{"summary":"#);
    write_summary(out, stats, queued);
    out.raw(r#","querier":{"store":"#);
    let segments = QueryStats {
        bytes_processed: stats.bytes_processed.saturating_sub(stats.bytes_in_memory),
        lines_processed: stats.lines_processed.saturating_sub(stats.lines_in_memory),
        chunks_read: stats.chunks_read.saturating_sub(stats.chunks_in_memory),
        lines_matched: stats.lines_matched.saturating_sub(stats.lines_matched_in_memory),
        metadata_bytes: stats.metadata_bytes.saturating_sub(stats.metadata_bytes_in_memory),
        bytes_in_memory: 0,
        lines_in_memory: 0,
        metadata_bytes_in_memory: 0,
        ..*stats
    };
    write_store(out, &segments);
    out.raw(r#","querierExecTime":"#);
    out.number(stats.exec_seconds);
    let reached = u64::from(stats.chunks_in_memory > 0);
    field(out, r#"},"ingester":{"totalReached":"#, reached);
    field(out, r#","totalChunksMatched":"#, stats.chunks_in_memory);
    field(out, r#","totalBatches":"#, stats.batches_in_memory);
    field(out, r#","totalLinesSent":"#, stats.lines_matched_in_memory);
    out.raw(r#","store":"#);
    let memory = QueryStats {
        lines_matched: stats.lines_matched_in_memory,
        metadata_bytes_in_memory: stats.metadata_bytes_in_memory,
        bytes_in_memory: stats.bytes_in_memory,
        lines_in_memory: stats.lines_in_memory,
        ..QueryStats::default()
    };
    write_store(out, &memory);
    out.raw(r#"},"index":"#);
    write_index(out, stats);
    out.raw(r#","cache":{"#);
    for (index, name) in CACHES.iter().enumerate() {
        out.comma(index);
        out.text(name);
        out.raw(":");
        out.raw(NO_CACHE);
    }
    out.raw("}}");
}

fn field(out: &mut Json, name: &str, value: u64) {
    out.raw(name);
    out.number(value);
}

fn write_summary(out: &mut Json, stats: &QueryStats, queued: Duration) {
    let per_second = |amount: u64| per_second(amount, stats.exec_seconds);
    field(out, r#"{"bytesProcessedPerSecond":"#, per_second(stats.bytes_processed));
    field(out, r#","linesProcessedPerSecond":"#, per_second(stats.lines_processed));
    field(out, r#","totalBytesProcessed":"#, stats.bytes_processed);
    field(out, r#","totalLinesProcessed":"#, stats.lines_processed);
    out.raw(r#","execTime":"#);
    out.number(stats.exec_seconds);
    out.raw(r#","queueTime":"#);
    out.number(queued.as_secs_f64());
    out.raw(r#","subqueries":0"#);
    field(out, r#","totalEntriesReturned":"#, stats.entries_returned);
    out.raw(r#","splits":0,"shards":0"#);
    field(out, r#","totalPostFilterLines":"#, stats.lines_matched);
    field(out, r#","totalStructuredMetadataBytesProcessed":"#, stats.metadata_bytes);
    out.raw("}");
}

/// A whole number a second; 0 where no time passed.
fn per_second(amount: u64, seconds: f64) -> u64 {
    if seconds <= 0.0 {
        return 0;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people; the cast back saturates"
    )]
    let rate = (amount as f64 / seconds) as u64;
    rate
}

fn write_store(out: &mut Json, stats: &QueryStats) {
    field(out, r#"{"totalChunksRef":"#, stats.chunks_read);
    field(out, r#","totalChunksDownloaded":"#, stats.chunks_read);
    out.raw(r#","chunksDownloadTime":0,"queryReferencedStructuredMetadata":false,"queryUsedV2Engine":false"#);
    field(out, r#","chunk":{"headChunkBytes":"#, stats.bytes_in_memory);
    field(out, r#","headChunkLines":"#, stats.lines_in_memory);
    let in_memory = stats.metadata_bytes_in_memory;
    field(out, r#","headChunkStructuredMetadataBytes":"#, in_memory);
    field(out, r#","decompressedBytes":"#, stats.bytes_processed);
    field(out, r#","decompressedLines":"#, stats.lines_processed);
    field(out, r#","decompressedStructuredMetadataBytes":"#, stats.metadata_bytes);
    field(out, r#","compressedBytes":"#, stats.compressed_bytes);
    // What is sent twice is stored once.
    out.raw(r#","totalDuplicates":0"#);
    field(out, r#","postFilterLines":"#, stats.lines_matched);
    out.raw("},");
    out.raw(NO_DATAOBJ);
    out.raw(
        r#","chunkRefsFetchTime":0,"congestionControlLatency":0,"pipelineWrapperFilteredLines":0}"#,
    );
}

fn write_index(out: &mut Json, stats: &QueryStats) {
    field(out, r#"{"totalChunks":"#, stats.chunks_read);
    field(out, r#","postFilterChunks":"#, stats.chunks_matched);
    out.raw(r#","shardsDuration":0,"usedBloomFilters":false"#);
    field(out, r#","totalStreams":"#, stats.streams_matched);
    out.raw(r#","chunkRefsLookupTime":0,"bloomFilterTime":0}"#);
}
