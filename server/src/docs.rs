//! `GET /docs/`: a page to read and try the API, Swagger UI, from within the binary. It fetches nothing
//! from elsewhere, and its Content-Security-Policy sees to that.

use std::io::Read;
use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use roomlog_web::caching::Document;

/// Scripts and styles of this server only, requests to it only. Images of the styles are in them.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Asked for anew each time, and sent when it has changed.
const PAGE_CACHING: &str = "public, no-cache";
const LIBRARY_CACHING: &str = "public, max-age=3600";

static PAGE: LazyLock<Document> = LazyLock::new(|| {
    let page = include_bytes!("../assets/docs/index.html").as_slice();
    Document::new("text/html; charset=utf-8", PAGE_CACHING, page)
});
static SCRIPT: LazyLock<Document> = LazyLock::new(|| {
    let script = include_bytes!("../assets/docs/docs.js").as_slice();
    Document::new("text/javascript; charset=utf-8", PAGE_CACHING, script)
});
static LIBRARY: LazyLock<Compressed> = LazyLock::new(|| {
    let library = include_bytes!("../assets/docs/swagger-ui/swagger-ui-bundle.js.gz");
    Compressed::new("text/javascript; charset=utf-8", library)
});
static STYLE: LazyLock<Compressed> = LazyLock::new(|| {
    let style = include_bytes!("../assets/docs/swagger-ui/swagger-ui.css.gz");
    Compressed::new("text/css; charset=utf-8", style)
});

/// The page, and the way to it from `/`.
pub fn router() -> Router {
    // Relative: a proxy may serve all of it under a prefix.
    Router::new()
        .route("/", get(async || Redirect::temporary("docs/")))
        .route("/docs", get(async || Redirect::temporary("docs/")))
        .route("/docs/", get(page))
        .route("/docs/docs.js", get(async |headers: HeaderMap| SCRIPT.answer(&headers)))
        .route("/docs/swagger-ui-bundle.js", get(async |headers: HeaderMap| LIBRARY.answer(&headers)))
        .route("/docs/swagger-ui.css", get(async |headers: HeaderMap| STYLE.answer(&headers)))
}

async fn page(headers: HeaderMap) -> Response {
    let mut response = PAGE.answer(&headers);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// A document that is kept compressed. It is opened only for a client that cannot.
struct Compressed {
    compressed: Document,
    plain: LazyLock<Document, Box<dyn FnOnce() -> Document + Send>>,
}

impl Compressed {
    fn new(content_type: &'static str, bytes: &'static [u8]) -> Self {
        let open = move || {
            let mut plain = Vec::new();
            GzDecoder::new(bytes).read_to_end(&mut plain).expect("a test opens what is in the binary");
            Document::new(content_type, LIBRARY_CACHING, plain)
        };
        Self {
            compressed: Document::new(content_type, LIBRARY_CACHING, bytes),
            plain: LazyLock::new(Box::new(open)),
        }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let vary = [(header::VARY, HeaderValue::from_static("Accept-Encoding"))];
        if !takes_gzip(request) {
            return (vary, self.plain.answer(request)).into_response();
        }
        let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        (vary, encoding, self.compressed.answer(request)).into_response()
    }
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=").parse().unwrap_or(1.0);
        matches!(name.trim(), "gzip" | "x-gzip" | "*") && weight > 0.0
    })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;

    async fn ask(path: &str, encoding: &str, tag: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request =
            Request::get(path).header(header::ACCEPT_ENCODING, encoding).header(header::IF_NONE_MATCH, tag);
        let response = router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn everything_that_the_page_names_is_here_and_it_names_nothing_else() {
        let (status, headers, page) = ask("/docs/", "gzip", "").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], POLICY);
        let page = String::from_utf8(page).unwrap();
        assert!(!page.contains("//"), "nothing from elsewhere");
        let names = page.split(['"']).filter(|name| name.ends_with(".js") || name.ends_with(".css"));
        let names: Vec<&str> = names.collect();
        assert_eq!(names.len(), 3);
        for name in names {
            let (status, headers, body) = ask(&format!("/docs/{name}"), "gzip, br", "").await;
            assert_eq!(status, StatusCode::OK, "{name}");
            assert!(!body.is_empty() && headers.contains_key(header::CACHE_CONTROL), "{name}");
            let (status, again, body) =
                ask(&format!("/docs/{name}"), "gzip, br", headers[header::ETAG].to_str().unwrap()).await;
            assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{name}");
            assert_eq!(again[header::ETAG], headers[header::ETAG]);
        }
    }

    #[tokio::test]
    async fn what_is_compressed_is_opened_for_who_cannot() {
        for path in ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"] {
            let (_, compressed, bytes) = ask(path, "deflate, gzip;q=0.5", "").await;
            assert_eq!(compressed[header::CONTENT_ENCODING], "gzip");
            let mut opened = Vec::new();
            GzDecoder::new(&bytes[..]).read_to_end(&mut opened).unwrap();
            for encoding in ["", "identity", "gzip;q=0, br"] {
                let (_, plain, bytes) = ask(path, encoding, "").await;
                assert!(!plain.contains_key(header::CONTENT_ENCODING), "{encoding}");
                assert_eq!(plain[header::VARY], "Accept-Encoding");
                assert!(bytes == opened, "{path}, {encoding}");
                assert_ne!(plain[header::ETAG], compressed[header::ETAG]);
            }
        }
    }

    #[tokio::test]
    async fn the_way_there_works_under_a_prefix() {
        for path in ["/", "/docs"] {
            let (status, headers, _) = ask(path, "", "").await;
            assert_eq!(status, StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(headers[header::LOCATION], "docs/");
        }
    }
}
