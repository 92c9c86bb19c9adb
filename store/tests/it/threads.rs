//! What threads may share, and what they may hand on: told by the compiler.

use timberline_store::{
    Batch, Chunk, Entries, LinePredicate, MemVfs, ReadScratch, Snapshot, Store, StoreDirectory,
    Subscription, WriteBatch,
};

const fn is_shared<T: Send + Sync>() {}

const fn is_handed_on<T: Send>() {}

const _: () = {
    is_shared::<Store>();
    is_shared::<Snapshot>();
    is_shared::<Chunk>();
    is_shared::<Batch>();
    is_shared::<WriteBatch>();
    is_shared::<LinePredicate>();
    is_shared::<MemVfs>();
    is_shared::<StoreDirectory>();
    is_handed_on::<Entries>();
    is_handed_on::<Subscription>();
    is_handed_on::<ReadScratch>();
};
