//! Requests that stop before their end, and queries that cannot be decoded.

use crate::http::{answer, begin, get, send, socket};
use crate::test_server::TestServer;
use crate::{assert_problem, picture};

#[test]
fn an_upload_that_stops_is_answered_and_its_connection_is_closed() {
    let server = TestServer::new(None);
    let to = server.address;
    // A WebSocket on which the client sends nothing stays open.
    let mut watching = socket(to, "/api/v1/live", None).unwrap();
    let announced = ("Content-Length", "1000");
    let form = [announced, ("Content-Type", "multipart/form-data; boundary=x")];
    let part = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno";
    // All at the same time, since each waits for the end of the time limit.
    let stopped = [
        begin(to, "POST", "/api/v1/people?name=x", &[announced], b""),
        begin(to, "POST", "/api/v1/analyze", &[announced], b"the first bytes"),
        begin(to, "POST", "/api/v1/analyze", &[announced, ("Expect", "100-continue")], b""),
        begin(to, "PATCH", "/api/v1/settings", &[announced, ("Content-Type", "application/json")], b"{"),
        begin(to, "POST", "/api/v1/compare", &form, part),
    ];
    for stream in stopped {
        let refused = answer(stream);
        if refused.status == 100 {
            // "100 Continue", and then the answer.
            assert!(String::from_utf8_lossy(&refused.body).starts_with("HTTP/1.1 408"));
            continue;
        }
        assert_problem(&refused, 408);
        assert!(refused.json()["detail"].as_str().unwrap().contains("send the request again"));
        assert!(refused.header("content-security-policy").is_some());
    }
    // The third picture is sent after the first two are confirmed.
    for _ in 0..3 {
        picture(&mut watching, true);
    }
}

#[test]
fn a_query_that_is_not_utf8_is_refused() {
    let server = TestServer::new(None);
    let to = server.address;
    for path in ["people?name=%FF%FE", "sightings?camera=%C3", "sightings/groups?camera=%ED%A0%80", "alarms?x=%FF"] {
        let refused = get(to, &format!("/api/v1/{path}"));
        assert_problem(&refused, 400);
        assert!(refused.json()["detail"].as_str().unwrap().contains("UTF-8"), "{path}");
    }
    assert_problem(&send(to, "POST", "/api/v1/people?name=%FF%FE", &[], b"no picture"), 400);
    assert_eq!(server.gallery.people().unwrap().len(), 3);
    assert_eq!(get(to, "/api/v1/people?name=%C3%89ve").status, 200);
}
