//! Objects by name, in a folder or a store that speaks S3: what may be lost and made anew.

use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::StoreError;

const STORE: &str = "object";

/// Objects under one prefix; cheap to clone.
///
/// An object is replaced as a whole: a reader sees the old one or the new one. Nothing is promised about
/// the order in which two writers of one name replace each other's.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Objects {
    /// `s3://bucket/prefix`, or a folder, which is made if it is missing. What else S3 needs (region,
    /// credentials, another endpoint) is taken from the customary variables `AWS_…`.
    pub fn open(place: &str) -> Result<Self, StoreError> {
        match place.strip_prefix("s3://") {
            Some(rest) => {
                let store = AmazonS3Builder::from_env().with_url(place).build().map_err(refused)?;
                let prefix = rest.split_once('/').map_or("", |(_, prefix)| prefix);
                Ok(Self { store: Arc::new(store), prefix: Path::from(prefix) })
            }
            None => Self::folder(FilePath::new(place)),
        }
    }

    pub fn folder(folder: &FilePath) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(refused)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(refused)?;
        Ok(Self { store: Arc::new(store), prefix: Path::default() })
    }

    pub fn in_memory() -> Self {
        Self { store: Arc::new(InMemory::new()), prefix: Path::default() }
    }

    /// Parts of the name are separated by `/`.
    pub async fn put(&self, name: &str, object: Bytes) -> Result<(), StoreError> {
        self.store.put(&self.path(name), object.into()).await.map(drop).map_err(unavailable)
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

    #[test]
    fn a_bucket_has_a_prefix() {
        let objects = Objects::open("s3://bucket/one/two").unwrap();
        assert_eq!(objects.path("a/b").as_ref(), "one/two/a/b");
        assert_eq!(Objects::open("s3://bucket").unwrap().path("a").as_ref(), "a");
    }
}
