//! A store of workloads that takes bounded memory.

use crate::model::Workload;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Most cgroups, and most owners, that are kept beyond those of sockets that live.
const KEPT: usize = 1 << 14;
/// Most bytes of the paths that are kept of these.
const KEPT_BYTES: usize = 16 << 20;

/// Workloads that were found. Where there are too many, or their paths are too long, all are dropped: what is still wanted is found again.
#[derive(Debug)]
pub struct KeptWorkloads<K> {
    found: HashMap<K, Arc<Workload>>,
    /// Bytes of the paths, in keys and workloads.
    bytes: usize,
}

impl<K> Default for KeptWorkloads<K> {
    fn default() -> Self {
        Self { found: HashMap::new(), bytes: 0 }
    }
}

impl<K: Eq + Hash> KeptWorkloads<K> {
    /// One that was found.
    pub fn get(&self, key: &K) -> Option<&Arc<Workload>> {
        self.found.get(key)
    }

    /// Keeps one; its key has paths of so many bytes.
    pub fn insert(&mut self, key: K, key_bytes: usize, workload: Arc<Workload>) {
        let path_bytes = |workload: &Workload| workload.cgroup.as_ref().map_or(0, Vec::len);
        let bytes = key_bytes + path_bytes(&workload);
        if self.found.len() >= KEPT || self.bytes + bytes > KEPT_BYTES {
            self.found.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        if let Some(before) = self.found.insert(key, workload) {
            self.bytes -= key_bytes + path_bytes(&before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many long paths there are, what is kept of them is bounded.
    #[test]
    fn workloads_take_bounded_memory() {
        let mut kept = KeptWorkloads::default();
        for id in 0..20_000_u64 {
            let path = vec![b'x'; 4000];
            let workload = Arc::new(Workload { cgroup: Some(path), ..Workload::default() });
            // One that is found again is there once.
            (0..2).for_each(|_| kept.insert(id, 0, Arc::clone(&workload)));
            assert!(kept.get(&id).is_some() && kept.bytes <= KEPT_BYTES);
        }
        let bytes: usize = kept.found.values().filter_map(|workload| workload.cgroup.as_ref()).map(Vec::len).sum();
        assert_eq!(bytes, kept.bytes);
    }
}
