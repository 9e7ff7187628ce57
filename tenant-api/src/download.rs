//! Files on their way out: never shown as a page of ours, whatever is in them.

use std::{cell::RefCell, ops::Range};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{
        StatusCode,
        header::{self, Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue},
    },
};
use waystation_core::{
    error::ApiError,
    media::{Chunks, File},
};

/// The answer with a file, or with the part of it that the request asks for.
pub(crate) async fn answer<F>(
    request: &HttpRequest,
    read: impl FnOnce(Box<dyn FnOnce(&File) -> Range<u64>>) -> F,
) -> Result<HttpResponse, ApiError>
where
    F: Future<Output = Result<(File, Chunks), ApiError>>,
{
    let wanted = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let chosen = std::rc::Rc::new(RefCell::new(None));
    let choice = chosen.clone();
    let (file, chunks) = read(Box::new(move |file: &File| {
        let part = wanted.and_then(|wanted| part_of(&wanted, file.size_bytes));
        choice.borrow_mut().clone_from(&part);
        part.unwrap_or(0..file.size_bytes)
    }))
    .await?;
    let part: Option<Range<u64>> = chosen.borrow().clone();
    let mut response = HttpResponse::build(if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    response
        .insert_header((header::CONTENT_TYPE, file.content_type.as_str()))
        .insert_header((header::CONTENT_DISPOSITION, disposition(&file)))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((header::ACCEPT_RANGES, "bytes"));
    if let Some(part) = &part {
        let range = format!("bytes {}-{}/{}", part.start, part.end - 1, file.size_bytes);
        response.insert_header((header::CONTENT_RANGE, range));
    }
    let length = part.map_or(file.size_bytes, |part| part.end - part.start);
    Ok(response.body(SizedStream::new(length, chunks)))
}

/// The one part of a file of `size` bytes that a `Range` header asks for; none when it asks for
/// anything else, which may be answered with the whole.
fn part_of(wanted: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = wanted.trim().strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => size.saturating_sub(suffix.parse().ok()?)..size,
        (first, "") => first.parse().ok()?..size,
        (first, last) => first.parse().ok()?..last.parse::<u64>().ok()?.saturating_add(1).min(size),
    };
    (range.start < range.end).then_some(range)
}

fn disposition(file: &File) -> ContentDisposition {
    let name = file.file_name.as_ref().map(|name| {
        DispositionParam::FilenameExt(ExtendedValue {
            charset: Charset::Ext("UTF-8".to_owned()),
            language_tag: None,
            value: name.clone().into_bytes(),
        })
    });
    ContentDisposition { disposition: DispositionType::Attachment, parameters: name.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::part_of;

    #[test]
    fn one_part_is_read_and_anything_else_is_the_whole() {
        for (wanted, part) in [
            ("bytes=0-9", Some(0..10)),
            ("bytes=90-", Some(90..100)),
            ("bytes=-10", Some(90..100)),
            ("bytes=-1000", Some(0..100)),
            ("bytes=50-1000", Some(50..100)),
            ("bytes=99-99", Some(99..100)),
            ("bytes=100-", None),
            ("bytes=5-4", None),
            ("bytes=-0", None),
            ("bytes=0-1,5-6", None),
            ("items=0-1", None),
            ("bytes=", None),
            ("bytes=0-18446744073709551615", Some(0..100)),
        ] {
            assert_eq!(part_of(wanted, 100), part, "{wanted}");
        }
    }
}
