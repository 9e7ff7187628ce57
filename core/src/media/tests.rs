//! Files on both databases and in a real folder.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};

use super::*;
use crate::{
    credentials::fill_random,
    ids::UploadId,
    store::tests::{Fixture, Tree, both},
};

const MIB: usize = 1_024 * 1_024;

struct World {
    media: Media,
    store: Store,
    folder: tempfile::TempDir,
    tree: Tree,
    _fixture: Fixture,
}

impl World {
    async fn both() -> Vec<Self> {
        Self::with(|_| {}).await
    }

    async fn with(change: impl Fn(&mut MediaSettings)) -> Vec<Self> {
        let mut worlds = Vec::new();
        for fixture in both().await {
            let (store, folder) = (fixture.store.clone(), tempfile::tempdir().unwrap());
            let tree = Tree::plant(&store).await;
            let base = Media::for_tests(&store, &Vault::for_tests());
            let mut settings = (*base.settings).clone();
            change(&mut settings);
            let address = BlobAddress::Folder(folder.path().to_owned());
            let media =
                Media::open(&address, store.clone(), base.egress.clone(), base.vault.clone(), settings).unwrap();
            worlds.push(Self { media, store, folder, tree, _fixture: fixture });
        }
        worlds
    }

    fn owner(&self) -> Owner {
        Owner { business: self.tree.business.clone(), sender: Some(self.tree.sender) }
    }

    async fn upload(&self, bytes: &[u8], name: &str) -> Result<File, ApiError> {
        let mut arriving = self.media.begin(self.owner());
        for chunk in bytes.chunks(100_000) {
            arriving.write(chunk).await?;
        }
        arriving.finish(Declared { content_type: None, file_name: Some(name.to_owned()) }).await
    }

    async fn bytes(&self, id: MediaId) -> Vec<u8> {
        let (_, chunks) = self.media.read(&self.tree.business, id, |file| 0..file.size_bytes).await.unwrap();
        chunks
            .try_fold(Vec::new(), async |mut all, chunk| {
                all.extend_from_slice(&chunk);
                Ok(all)
            })
            .await
            .unwrap()
    }

    /// The files in the folder, drafts included.
    fn objects(&self) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.folder.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }
}

/// A file of `length` bytes that begins like `head`, with bytes behind it that no other has.
fn file(head: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill_random(&mut bytes[length.saturating_sub(256)..]);
    bytes[..head.len()].copy_from_slice(head);
    bytes
}

const JPEG: &[u8] = b"\xff\xd8\xff\xe0";
const PDF: &[u8] = b"%PDF-1.7\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_reads_back_byte_for_byte_for_its_business_and_for_no_other() {
    for world in World::both().await {
        // Less than a part, one part, and more than one.
        for length in [1_000, blobs::PART_BYTES, blobs::PART_BYTES * 2 + 17] {
            let bytes = file(PDF, length);
            let kept = world.upload(&bytes, "../menu \u{202e}fdp.pdf").await.unwrap();
            assert_eq!(kept.file_name.as_deref(), Some("menu fdp.pdf"));
            assert_eq!((kept.content_type.as_str(), kept.size_bytes), ("application/pdf", length as u64));
            assert_eq!(kept.sha256, hex::encode(Sha256::digest(&bytes)));
            assert!(world.bytes(kept.id).await == bytes, "{length} bytes");
            let stranger = Tree::plant(&world.store).await.business;
            let missing = world.media.get(&stranger, kept.id).await.unwrap_err();
            assert_eq!(missing.kind, ErrorKind::NotFound);
            assert_eq!(world.media.remove(&stranger, kept.id).await.unwrap_err().kind, ErrorKind::NotFound);
            let part = world.media.read(&world.tree.business, kept.id, |_| 5..9).await.unwrap().1;
            let part: Vec<Bytes> = part.try_collect().await.unwrap();
            assert_eq!(part.concat(), bytes[5..9]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_has_its_limit_and_one_byte_more_is_refused() {
    let mut still = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0".to_vec();
    let mut moving = still.clone();
    still.push(0x10);
    moving.push(0x12);
    let worlds = World::both().await;
    let cases: [(&[u8], usize); 5] = [
        (JPEG, 5 * MIB),
        (b"\0\0\0\x20ftypisom", 16 * MIB),
        (b"ID3\x04", 16 * MIB),
        (&still, 100 * 1_024),
        (&moving, 500 * 1_024),
    ];
    let world = &worlds[0];
    for (head, limit) in cases {
        let kept = world.upload(&file(head, limit), "x").await.unwrap();
        assert_eq!(kept.size_bytes, limit as u64);
        let error = world.upload(&file(head, limit + 1), "x").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::MediaTooLarge, "{}", kept.content_type);
        assert!(error.details.contains(&limit.to_string()) && error.details.contains(&kept.content_type));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_lie_there_once_and_go_with_the_last_file() {
    for world in World::both().await {
        for length in [2_000, blobs::PART_BYTES + 1] {
            let bytes = file(PDF, length);
            let (one, two) = tokio::join!(world.upload(&bytes, "one.pdf"), world.upload(&bytes, "two.pdf"));
            let (one, two) = (one.unwrap(), two.unwrap());
            let three = world.upload(&bytes, "three.pdf").await.unwrap();
            assert_ne!(one.id, two.id);
            world.media.clear(now_ms()).await.unwrap();
            assert_eq!(world.objects().len(), 1, "{:?}", world.objects());
            for gone in [one.id, three.id] {
                world.media.remove(&world.tree.business, gone).await.unwrap();
                assert!(world.media.get(&world.tree.business, gone).await.is_err());
            }
            assert!(world.bytes(two.id).await == bytes, "the other is still there");
            world.media.remove(&world.tree.business, two.id).await.unwrap();
            assert_eq!(world.objects(), Vec::<PathBuf>::new());
        }
        // Another business's are its own, so that nobody learns what others have.
        let bytes = file(PDF, 2_000);
        let ours = world.upload(&bytes, "a.pdf").await.unwrap();
        let other = Tree::plant(&world.store).await.business;
        let mut arriving = world.media.begin(Owner { business: other, sender: None });
        arriving.write(&bytes).await.unwrap();
        arriving.finish(Declared::default()).await.unwrap();
        assert_eq!(world.objects().len(), 2);
        assert!(world.bytes(ours.id).await == bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_leaves_nothing() {
    for world in World::both().await {
        let mut arriving = world.media.begin(world.owner());
        arriving.write(&file(PDF, blobs::PART_BYTES * 2)).await.unwrap();
        assert_eq!(world.objects().len(), 1, "a draft");
        drop(arriving);
        for _ in 0..200 {
            if world.objects().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(world.objects(), Vec::<PathBuf>::new());
        assert!(world.media.list(&world.tree.business, &Paging::default()).await.unwrap().entries.is_empty());
        // A crash leaves the draft; it is cleared away with what was announced.
        let mut arriving = world.media.begin(world.owner());
        arriving.write(&file(PDF, blobs::PART_BYTES * 2)).await.unwrap();
        std::mem::forget(arriving);
        world.media.clear(now_ms()).await.unwrap();
        assert_eq!(world.objects().len(), 1, "it may still be on its way");
        world.media.clear(now_ms() + ARRIVAL_MAX_MS + 1).await.unwrap();
        assert_eq!(world.objects(), Vec::<PathBuf>::new());
        assert!(world.store.blobs_to_discard(Millis::MAX, 10).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_expires_and_its_bytes_stay_for_messages_that_name_it() {
    for world in World::both().await {
        let kept = world.upload(&file(JPEG, 1_000), "a.jpg").await.unwrap();
        let end = kept.expires_at.unwrap();
        assert_eq!(end - kept.created_at, 30 * 24 * 60 * 60 * 1_000);
        assert!(world.store.media(&world.tree.business, kept.id, end - 1).await.unwrap().is_some());
        assert!(world.store.media(&world.tree.business, kept.id, end).await.unwrap().is_none());
        world.media.clear(end + 1).await.unwrap();
        assert!(world.store.any_media(kept.id).await.unwrap().is_some());
        world.media.clear(end + 60 * 60 * 1_000 + 1).await.unwrap();
        assert!(world.store.any_media(kept.id).await.unwrap().is_none());
        assert_eq!(world.objects(), Vec::<PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_listed_in_pages_the_newest_first() {
    for world in World::both().await {
        let mut uploaded = Vec::new();
        for _ in 0..5 {
            uploaded.push(world.upload(&file(JPEG, 500), "a.jpg").await.unwrap());
        }
        uploaded.sort_by_key(|file| std::cmp::Reverse((file.created_at, file.id)));
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let paging = Paging::read(cursor.as_deref(), Some(2)).unwrap();
            let page = world.media.list(&world.tree.business, &paging).await.unwrap();
            seen.extend(page.entries);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, uploaded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_keeps_as_much_as_it_may() {
    for world in World::with(|settings| settings.business_max_bytes = Some(3_000)).await {
        let bytes = file(PDF, 2_000);
        let first = world.upload(&bytes, "a.pdf").await.unwrap();
        world.upload(&bytes, "the same needs no room.pdf").await.unwrap();
        let error = world.upload(&file(PDF, 1_001), "b.pdf").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::MediaQuotaReached);
        assert!(error.details.contains("3000"), "{}", error.details);
        world.upload(&file(PDF, 1_000), "b.pdf").await.unwrap();
        world.media.remove(&world.tree.business, first.id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_holds_until_its_time_is_over_and_cannot_be_changed() {
    for world in World::both().await {
        let bytes = file(PDF, 1_000);
        let kept = world.upload(&bytes, "a.pdf").await.unwrap();
        let business = &world.tree.business;
        let link = world.media.link(business, kept.id, Some(LINK_MIN_SECONDS)).await.unwrap();
        let follow =
            async |token: &str| world.media.follow(token, |file| 0..file.size_bytes).await.map(|found| found.0);
        assert_eq!(follow(&link.token).await.unwrap(), kept);
        let over = world.media.token_for_tests(kept.id, now_ms());
        for position in 0..link.token.len() {
            let mut changed = link.token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            if changed != link.token && position + 1 < link.token.len() {
                assert_eq!(follow(&changed).await.unwrap_err().kind, ErrorKind::NotFound);
            }
        }
        for dead in [over.as_str(), "", "x", &"A".repeat(1_000)] {
            assert_eq!(follow(dead).await.unwrap_err().kind, ErrorKind::NotFound);
        }
        for seconds in [LINK_MIN_SECONDS - 1, LINK_MAX_SECONDS + 1] {
            let error = world.media.link(business, kept.id, Some(seconds)).await.unwrap_err();
            assert_eq!(error.breaches[0].pointer, "?expires_in_seconds");
        }
        world.media.remove(business, kept.id).await.unwrap();
        assert_eq!(follow(&link.token).await.unwrap_err().kind, ErrorKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_it_broke_off_and_ends_with_a_handle() {
    for world in World::both().await {
        let (bytes, business) = (file(JPEG, 200_000), &world.tree.business);
        let declared = Declared { content_type: Some("image/jpeg".to_owned()), file_name: Some("logo.jpg".to_owned()) };
        let id = world.media.start_upload(business, bytes.len() as u64, declared).await.unwrap();
        for (from, to) in [(0, 50_000), (50_000, 120_000)] {
            let mut resumed = world.media.resume(business, &id, from as u64).await.unwrap();
            resumed.write(&bytes[from..to]).await.unwrap();
            let upload = resumed.finish().await.unwrap();
            assert_eq!((upload.file_offset, upload.handle), (to as u64, None));
        }
        let error = world.media.resume(business, &id, 50_000).await.unwrap_err();
        assert!(error.details.contains("120000"), "{}", error.details);
        let mut too_much = world.media.resume(business, &id, 120_000).await.unwrap();
        let error = too_much.write(&vec![0; 80_001]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::MediaTooLarge);
        drop(too_much);
        // Of two that go on at once, one does.
        let mut late = world.media.resume(business, &id, 120_000).await.unwrap();
        late.write(&bytes[120_000..130_000]).await.unwrap();
        let mut resumed = world.media.resume(business, &id, 120_000).await.unwrap();
        resumed.write(&bytes[120_000..]).await.unwrap();
        let upload = resumed.finish().await.unwrap();
        assert!(late.finish().await.unwrap_err().details.contains("200000"));
        let handle = upload.handle.unwrap();
        let found = world.media.of_handle(business, &handle).await.unwrap().unwrap();
        assert_eq!((found.content_type.as_str(), found.file_name.as_deref()), ("image/jpeg", Some("logo.jpg")));
        assert!(world.bytes(found.id).await == bytes);
        let stranger = Tree::plant(&world.store).await.business;
        assert_eq!(world.media.of_handle(&stranger, &handle).await.unwrap(), None);
        assert_eq!(world.media.upload(&stranger, &id).await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(world.media.upload(business, &UploadId::generate()).await.unwrap_err().kind, ErrorKind::NotFound);
        // Of the parts nothing stays; the handle holds as long as the file.
        world.media.clear(now_ms() + 2 * 24 * 60 * 60 * 1_000).await.unwrap();
        assert_eq!(world.objects().len(), 1);
        assert!(world.media.of_handle(business, &handle).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_sent_is_kept_whatever_its_type() {
    for world in World::both().await {
        let (bytes, declared) = (file(b"GIF89a", 3_000), |said: &str| Declared {
            content_type: Some(said.to_owned()),
            file_name: Some("cat.gif".to_owned()),
        });
        let chunks = |bytes: &[u8]| {
            let chunks: Vec<_> =
                bytes.chunks(1_000).map(|chunk| Ok::<_, String>(Bytes::copy_from_slice(chunk))).collect();
            stream::iter(chunks)
        };
        let kept = world
            .media
            .mirror(MediaId::generate(), world.owner(), declared("image/gif"), chunks(&bytes))
            .await
            .unwrap();
        assert_eq!((kept.content_type.as_str(), kept.origin), ("image/gif", Origin::Received));
        assert!(world.bytes(kept.id).await == bytes);
        let odd = world
            .media
            .mirror(MediaId::generate(), world.owner(), declared("a\r\nb: c"), chunks(&bytes))
            .await
            .unwrap();
        assert_eq!(odd.content_type, "application/octet-stream");
        let broken = stream::iter([Ok(Bytes::from_static(b"GIF89a")), Err("reset".to_owned())]);
        let error =
            world.media.mirror(MediaId::generate(), world.owner(), declared("image/gif"), broken).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::MediaUnreachable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_name_the_business_s_own_files_of_its_kind_only() {
    for world in World::both().await {
        let picture = world.upload(&file(JPEG, 500), "a.jpg").await.unwrap().id;
        let paper = world.upload(&file(PDF, 500), "a.pdf").await.unwrap().id;
        let check = async |business: &BusinessId, kind: &str, id: &str| {
            let body = serde_json::json!({"type": kind, kind: {"id": id}}).to_string();
            world.media.check(business, kind, &body).await
        };
        let business = &world.tree.business;
        check(business, "image", &picture.to_string()).await.unwrap();
        check(business, "document", &paper.to_string()).await.unwrap();
        check(business, "document", &picture.to_string()).await.unwrap();
        let stranger = Tree::plant(&world.store).await.business;
        for (business, kind, id, says) in [
            (business, "image", paper.to_string(), "application/pdf"),
            (business, "sticker", picture.to_string(), "image/webp"),
            (business, "image", "100000000000007".to_owned(), "not the id of a file"),
            (business, "image", "x".to_owned(), "not the id of a file"),
            (&stranger, "image", picture.to_string(), "not the id of a file"),
        ] {
            let error = check(business, kind, &id).await.unwrap_err();
            assert_eq!(
                (error.kind, error.breaches[0].pointer.as_str()),
                (ErrorKind::ParameterInvalid, &*format!("/{kind}/id"))
            );
            assert!(error.details.contains(says), "{}", error.details);
        }
        let linked = r#"{"type": "image", "image": {"link": "https://shop.example/a.png"}}"#;
        world.media.check(business, "image", linked).await.unwrap();
    }
}
