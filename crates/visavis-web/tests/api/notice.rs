//! The notice for people in front of the camera.

use std::time::{Duration, Instant};

use visavis_infer::Task;
use visavis_web::{Access, NoticeParams};

use crate::http::{Answer, get, send};
use crate::test_server::TestServer;

const TOKEN: &str = "0123456789abcdef";

/// A wait that takes longer than this fails the test.
const TIMEOUT: Duration = Duration::from_secs(60);

fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    String::from_utf8(answer.body.clone()).unwrap()
}

fn stated() -> NoticeParams {
    NoticeParams {
        operator: Some("Lovelace & Co".into()),
        contact: Some("privacy@lovelace.example".into()),
        purpose: Some("Counting visitors".into()),
        sent: true,
        ..NoticeParams::default()
    }
}

#[test]
fn the_notice_needs_no_token_and_names_nobody() {
    let server = TestServer::with_notice(Access { token: Some(TOKEN.into()), ..Access::default() }, stated());
    let to = server.address;
    assert_eq!(get(to, "/").status, 401);
    let answer = get(to, "/notice");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("content-language"), Some("en"));
    assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let notice = text(&answer);
    for said in
        ["Lovelace &amp; Co", "privacy@lovelace.example", "Counting visitors", "watch list", "sent to other programs"]
    {
        assert!(notice.contains(said), "{said}: {notice}");
    }
    // Neither the people of the gallery, nor the camera, nor the file, nor a picture.
    for hidden in ["Ada", "Eve", "Grace", "door", "people.gallery", "/tmp", "<img", "<script", TOKEN] {
        assert!(!notice.contains(hidden), "{hidden}: {notice}");
    }
    // Its style is served too, and nothing else.
    assert!(notice.contains("href=\"notice.css\""));
    let style = get(to, "/notice.css");
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert_eq!(get(to, "/style/base.css").status, 401);
    assert_eq!(send(to, "GET", "/notice", &[("Host", "evil.example")], b"").status, 421);
    assert_eq!(send(to, "POST", "/notice", &[], b"").status, 405);
}

#[test]
fn the_notice_follows_the_settings_and_the_language() {
    let server =
        TestServer::with_notice(Access { base_path: "/cams".into(), ..Access::default() }, NoticeParams::default());
    let to = server.address;
    let notice = |path: &str, accept: &str| send(to, "GET", path, &[("Accept-Language", accept)], b"");
    let german = notice("/cams/notice", "de-AT,en;q=0.5");
    assert_eq!(german.header("content-language"), Some("de"));
    assert_eq!(german.header("vary"), Some("accept-language"));
    assert!(text(&german).contains("Ihr Gesicht wird mit Fotos bekannter Personen verglichen"));
    let italian = text(&notice("/cams/notice?lang=it", "de"));
    assert!(italian.contains("<html lang=\"it\">") && italian.contains("href=\"?lang=fr\""), "{italian}");
    assert_eq!(get(to, "/cams/notice.css").status, 200);
    // A proxy that removes the base path.
    assert!(text(&get(to, "/notice")).contains("compared with photos of known people"));
    // After the comparison was switched off, there are no alarms either, and nothing is stored.
    server.steer(Task::Similarity, None);
    let until = Instant::now() + TIMEOUT;
    loop {
        let now = text(&get(to, "/cams/notice"));
        if now.contains("Nothing is stored") {
            assert!(!now.contains("compared with photos") && !now.contains("watch list"), "{now}");
            break;
        }
        assert!(Instant::now() < until, "{now}");
    }
}
