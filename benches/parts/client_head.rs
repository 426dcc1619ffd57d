//! A head of eight headers, as a client of a proxy sends it.

pub(crate) const HEAD: &str = "GET http://api.openweathermap.org/data/2.5/weather?q=Paris HTTP/1.1\r\n\
    Host: api.openweathermap.org\r\n\
    User-Agent: python-requests/2.32.3\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Accept: application/json\r\n\
    Accept-Language: en\r\n\
    Connection: keep-alive\r\n\
    Proxy-Authorization: Basic Ym90OnRva2VuLW9mLXRoZS1ib3Q=\r\n\
    X-Request-Id: 01JD0000000000000000000000\r\n\r\n";
