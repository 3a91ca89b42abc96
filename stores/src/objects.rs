//! Objects by name, in a folder or a store that speaks S3: what may be lost and made anew (snapshots), and
//! what is kept outside the log for ever (checkpoints).

use std::collections::BinaryHeap;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

use crate::StoreError;

const STORE: &str = "object";

/// Objects under one prefix; cheap to clone.
///
/// An object is replaced as a whole: a reader sees the old one or the new one. Nothing is promised about
/// the order in which two writers of one name replace each other's.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The same place. In a folder what it writes is synced, which what may be lost need not be.
    durable: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Whether names are listed in the order of their bytes, as S3 does.
    lists_in_order: bool,
}

impl Objects {
    /// `s3://bucket/prefix`, or a folder, which is made if it is missing. What else S3 needs (region,
    /// credentials, another endpoint) is taken from the customary variables `AWS_…`.
    pub fn open(place: &str) -> Result<Self, StoreError> {
        match place.strip_prefix("s3://") {
            Some(rest) => {
                let store = AmazonS3Builder::from_env().with_url(place).build().map_err(refused)?;
                let store: Arc<dyn ObjectStore> = Arc::new(store);
                let prefix = rest.split_once('/').map_or("", |(_, prefix)| prefix);
                Ok(Self { durable: store.clone(), store, prefix: Path::from(prefix), lists_in_order: true })
            }
            None => Self::folder(FilePath::new(place)),
        }
    }

    pub fn folder(folder: &FilePath) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(refused)?;
        let open = || LocalFileSystem::new_with_prefix(folder).map_err(refused);
        Ok(Self {
            store: Arc::new(open()?),
            durable: Arc::new(open()?.with_fsync(true)),
            prefix: Path::default(),
            lists_in_order: false,
        })
    }

    pub fn in_memory() -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self { durable: store.clone(), store, prefix: Path::default(), lists_in_order: false }
    }

    /// Parts of the name are separated by `/`.
    pub async fn put(&self, name: &str, object: Bytes) -> Result<(), StoreError> {
        self.store.put(&self.path(name), object.into()).await.map(drop).map_err(unavailable)
    }

    /// Makes the object, durably, unless there is one of this name, which stays; answers whether it did.
    pub async fn create(&self, name: &str, object: Bytes) -> Result<bool, StoreError> {
        match self.durable.put_opts(&self.path(name), object.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The names in `folder`, at any depth, that come after `after`, at most `limit` of them, in the order of
    /// their bytes. In a folder it takes a look at every name of it.
    pub async fn list(&self, folder: &str, after: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let (folder, after) = (self.path(folder), self.path(after));
        let mut found = self.store.list_with_offset(Some(&folder), &after);
        // The greatest on top: what does not belong to the page is dropped as soon as that is known.
        let mut page = BinaryHeap::with_capacity(limit + 1);
        while let Some(object) = found.try_next().await.map_err(unavailable)? {
            page.push(object.location);
            if page.len() > limit {
                page.pop();
            } else if page.len() == limit && self.lists_in_order {
                break;
            }
        }
        let names = page.into_sorted_vec().into_iter().filter_map(|path| {
            let parts = path.prefix_match(&self.prefix)?;
            Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        });
        Ok(names.collect())
    }

    /// `None` if there is no object of this name.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let found = match self.store.get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(unavailable(error)),
        };
        found.bytes().await.map(Some).map_err(unavailable)
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }
}

fn refused(source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Refused { store: STORE, source: Box::new(source) }
}

fn unavailable(source: object_store::Error) -> StoreError {
    StoreError::Unavailable { store: STORE, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn keeps_objects(objects: &Objects) {
        assert_eq!(objects.get("a/b").await.unwrap(), None);
        objects.put("a/b", Bytes::from_static(b"one")).await.unwrap();
        objects.put("a/b", Bytes::from_static(b"two")).await.unwrap();
        objects.put("a/c", Bytes::new()).await.unwrap();
        assert_eq!(objects.get("a/b").await.unwrap(), Some(Bytes::from_static(b"two")));
        assert_eq!(objects.get("a/c").await.unwrap(), Some(Bytes::new()));
        assert_eq!(objects.get("a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn objects_are_kept_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path().join("objects").to_str().unwrap()).unwrap();
        keeps_objects(&objects).await;
        assert_eq!(std::fs::read(folder.path().join("objects/a/b")).unwrap(), b"two");
        keeps_objects(&Objects::in_memory()).await;
    }

    async fn what_is_made_stays(objects: &Objects) {
        assert_eq!(objects.list("none", "", 10).await.unwrap(), Vec::<String>::new());
        for name in ["made/10", "made/2/x", "made/09", "other/1"] {
            assert!(objects.create(name, Bytes::from_static(b"one")).await.unwrap());
            assert!(!objects.create(name, Bytes::from_static(b"two")).await.unwrap());
            assert_eq!(objects.get(name).await.unwrap(), Some(Bytes::from_static(b"one")));
        }
        let list = async |after: &str, limit| objects.list("made", after, limit).await.unwrap();
        assert_eq!(list("", 10).await, ["made/09", "made/10", "made/2/x"]);
        assert_eq!(list("", 2).await, ["made/09", "made/10"]);
        assert_eq!(list("made/10", 2).await, ["made/2/x"]);
        assert_eq!(list("made/0", 1).await, ["made/09"]);
    }

    #[tokio::test]
    async fn objects_that_are_made_once_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        what_is_made_stays(&Objects::folder(folder.path()).unwrap()).await;
        what_is_made_stays(&Objects::in_memory()).await;
        let prefixed = Objects { prefix: Path::from("a/b"), ..Objects::in_memory() };
        what_is_made_stays(&prefixed).await;
    }

    #[test]
    fn a_bucket_has_a_prefix() {
        let objects = Objects::open("s3://bucket/one/two").unwrap();
        assert_eq!(objects.path("a/b").as_ref(), "one/two/a/b");
        assert_eq!(Objects::open("s3://bucket").unwrap().path("a").as_ref(), "a");
    }
}
