/* The server's side of a WebSocket, on real connections; its frames: t_websocket_frame.c. */
#include "http/websocket.h"
#include "tests/unit/t_http_server.h"

enum { MAX_MESSAGE = 100000 };

static struct {
    int accepted, refused, status, over, rooms, messages;
    struct websocket *ws; /* the newest */
    enum websocket_opcode type;
    char last[MAX_MESSAGE + 1];
    size_t n, binary;
    size_t take; /* bytes that binary() takes; then it pauses */
    bool echo;
} seen = { .take = SIZE_MAX, .echo = true };

static void message(struct websocket *ws, enum websocket_opcode type, char *bytes, size_t n) {
    static const char zeros[WEBSOCKET_PADDING];
    seen.messages++;
    seen.type = type;
    seen.n = n;
    memcpy(seen.last, bytes, n);
    OK(memcmp(bytes + n, zeros, sizeof zeros) == 0, "zeros follow a message");
    if (n == 4 && memcmp(bytes, "quit", 4) == 0)
        websocket_close(ws, WS_NORMAL, "as asked");
    else if (seen.echo)
        websocket_send(ws, type, bytes, n < websocket_room(ws) ? n : websocket_room(ws));
}

static size_t binary(struct websocket *ws, const char *bytes, size_t n) {
    n = n < seen.take ? n : seen.take;
    memcpy(seen.last + seen.binary, bytes, n);
    seen.binary += n;
    (void)ws;
    return n;
}

static void room(struct websocket *ws) {
    (void)ws;
    seen.rooms++;
}

static void over(struct websocket *ws) {
    seen.over++;
    if (seen.ws == ws)
        seen.ws = NULL;
    free(ws);
}

static void open_one(struct http_exchange *x, bool collects) {
    struct websocket *ws = calloc(1, sizeof *ws);
    *ws = (struct websocket){ .max_message = MAX_MESSAGE,
                              .message = message,
                              .binary = collects ? NULL : binary,
                              .room = room,
                              .over = over };
    if (websocket_accept(ws, x)) {
        seen.accepted++;
        seen.ws = ws;
    } else {
        free(ws);
    }
}
static void ws_route(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    open_one(x, true);
}
static void raw_route(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    open_one(x, false);
}

static bool admit(struct http_exchange *x) {
    (void)x;
    return true;
}
static void refuse(struct http_exchange *x, int status, const char *text) {
    seen.refused++;
    seen.status = status;
    http_answer(x, status, "text/plain", text, strlen(text));
}

static const struct http_route routes[] = {
    { "GET", "/ws", HTTP_BODY_NONE, ws_route },
    { "GET", "/raw", HTTP_BODY_NONE, raw_route },
};
static const struct http_site site = { .routes = routes,
                                       .nroutes = 2,
                                       .admit = admit,
                                       .refuse = refuse,
                                       .idle = { IDLE_S * INT64_C(1000000000) } };

#define H   " HTTP/1.1\r\nHost: h\r\n"
#define UP  "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define OK_101                                      \
    "HTTP/1.1 101 Switching Protocols\r\n"          \
    "Connection: Upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

/* A client's frame, masked. */
static void say_frame(struct client *c, unsigned first, const char *payload, size_t n) {
    static const unsigned char mask[4] = { 1, 2, 3, 4 };
    char *out = malloc(WS_MAX_HEAD + 4 + n);
    size_t k = websocket_head((unsigned char *)out, WS_TEXT, true, n);
    out[0] = (char)first;
    out[1] |= (char)0x80;
    memcpy(out + k, mask, 4);
    for (size_t i = 0; i < n; i++)
        out[k + 4 + i] = (char)((unsigned char)payload[i] ^ mask[i % 4]);
    (void)say_n(c, out, k + 4 + n);
    free(out);
    settle();
    hear(c);
}

static struct client dial_ws(const char *path) {
    struct client c = dial(false);
    char text[512];
    (void)snprintf(text, sizeof text, "GET %s" H UP V13 KEY "\r\n", path);
    ask(&c, text);
    OK(strcmp(c.got ? c.got : "", OK_101) == 0, "%s is opened", path);
    forget(&c);
    return c;
}

static bool got(struct client *c, const char *bytes, size_t n) {
    bool same = c->n == n && memcmp(c->got, bytes, n) == 0;
    forget(c);
    return same;
}

static void handshakes(void) {
    static const struct {
        const char *request;
        int status;
        const char *field, *what;
    } rows[] = {
        { "GET /ws" H "\r\n", 426, "Upgrade: websocket\r\n", "no upgrade" },
        { "GET /ws" H "Connection: Upgrade\r\nUpgrade: h2c\r\n" V13 KEY "\r\n", 426,
          "Upgrade: websocket\r\n", "to something else" },
        { "GET /ws" H "Upgrade: websocket\r\n" V13 KEY "\r\n", 426, "", "not in Connection" },
        { "GET /ws" H UP KEY "\r\n", 426, "Sec-WebSocket-Version: 13\r\n", "no version" },
        { "GET /ws" H UP "Sec-WebSocket-Version: 8\r\n" KEY "\r\n", 426,
          "Sec-WebSocket-Version: 13\r\n", "version 8" },
        { "GET /ws" H UP V13 "\r\n", 400, "", "no key" },
        { "GET /ws" H UP V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n\r\n", 400, "",
          "a short key" },
        { "GET /ws" H UP V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ!!\r\n\r\n", 400, "",
          "a key that is not base 64" },
        { "GET /ws" H UP V13 KEY KEY "\r\n", 400, "", "two keys" },
        { "HEAD /ws" H UP V13 KEY "\r\n", 400, "", "HEAD" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c = dial(false);
        char want[32];
        (void)snprintf(want, sizeof want, "HTTP/1.1 %d ", rows[i].status);
        ask(&c, rows[i].request);
        OK(begins(&c, want) && has(&c, rows[i].field) && seen.accepted == 0, "refused: %s",
           rows[i].what);
        hang_up(&c);
    }
    settle();
    OK(seen.over == 0 && server.n == 0, "and nothing is left of them");
    struct client c = dial(false);
    ask(&c, "GET /ws" H UP V13 KEY "\r\n\x81\x82\1\1\1\1ih");
    OK(has(&c, OK_101) && ends(&c, "\x81\x02hi"), "a frame that comes with the handshake is read");
    hang_up(&c);
    settle();
    OK(seen.over == 1, "its end is told");
}

static void messages(void) {
    struct client c = dial_ws("/ws");
    say_frame(&c, 0x81, "hello", 5);
    OK(got(&c, "\x81\x05hello", 7) && seen.type == WS_TEXT, "text goes and comes");
    say_frame(&c, 0x82, "\0\1", 2);
    OK(got(&c, "\x82\x02\0\1", 4) && seen.type == WS_BINARY, "binary too");
    int before = seen.messages;
    say_frame(&c, 0x01, "he", 2);
    say_frame(&c, 0x89, "are you there", 13);
    OK(got(&c,
           "\x8a\x0d"
           "are you there",
           15) &&
           seen.messages == before,
       "a ping within a message is answered");
    say_frame(&c, 0x80, "llo", 3);
    OK(got(&c, "\x81\x05hello", 7) && seen.messages == before + 1, "a message in two frames");
    say_frame(&c, 0x81, "", 0);
    OK(got(&c, "\x81\0", 2), "an empty message");
    say_frame(&c, 0x8a, "unasked", 7);
    OK(c.n == 0, "a pong that nobody has asked for is no error");
    seen.echo = false;
    char *large = malloc(MAX_MESSAGE + 1);
    memset(large, 'x', MAX_MESSAGE + 1);
    say_frame(&c, 0x81, large, MAX_MESSAGE);
    OK(seen.n == MAX_MESSAGE && memcmp(seen.last, large, MAX_MESSAGE) == 0, "the longest message");
    say_frame(&c, 0x81, large, MAX_MESSAGE + 1);
    OK(c.n > 4 && memcmp(c.got, "\x88", 1) == 0 && memcmp(c.got + 2, "\x03\xf1", 2) == 0,
       "one byte more: closed with 1009");
    UNTIL(heard_end(&c));
    OK(c.eof, "and the connection ends");
    free(large);
    seen.echo = true;
    hang_up(&c);
}

static void closes(void) {
    struct client c = dial_ws("/ws");
    say_frame(&c, 0x88, "\x03\xe9 bye", 6);
    OK(got(&c, "\x88\x02\x03\xe9", 4), "a close is answered with its code");
    UNTIL(heard_end(&c));
    OK(c.eof, "and the connection ends");
    hang_up(&c);

    c = dial_ws("/ws");
    say_frame(&c, 0x88, "", 0);
    OK(got(&c, "\x88\0", 2), "one without a code with one without");
    hang_up(&c);

    c = dial_ws("/ws");
    say_frame(&c, 0x81, "quit", 4);
    OK(got(&c,
           "\x88\x0a\x03\xe8"
           "as asked",
           12),
       "ours");
    int before = seen.messages;
    say_frame(&c, 0x81, "ignored", 7);
    OK(seen.messages == before && c.n == 0 && !c.eof, "what comes then is not looked at");
    say_frame(&c, 0x88, "\x03\xe8", 2);
    UNTIL(heard_end(&c));
    OK(c.n == 0 && c.eof, "theirs is not answered again, and ends it");
    hang_up(&c);

    c = dial_ws("/ws");
    say_frame(&c, 0x81, "quit", 4);
    forget(&c);
    pass(1000 * WEBSOCKET_CLOSE_S - 1);
    hear(&c);
    OK(!c.eof, "theirs is waited for");
    pass(1);
    UNTIL(heard_end(&c));
    OK(c.eof, "for %d s", WEBSOCKET_CLOSE_S);
    hang_up(&c);

    c = dial_ws("/ws");
    (void)say_n(&c, "\x81\x02hi", 4);
    UNTIL(heard_end(&c));
    OK(begins(&c, "\x88") && memcmp(c.got + 2, "\x03\xea", 2) == 0 && c.eof,
       "what is no frame of a client: 1002");
    hang_up(&c);

    c = dial_ws("/ws");
    say_frame(&c, 0x81, "\xff", 1);
    OK(begins(&c, "\x88") && memcmp(c.got + 2, "\x03\xef", 2) == 0, "no UTF-8: 1007");
    hang_up(&c);

    c = dial_ws("/ws");
    (void)shutdown(c.fd, SHUT_WR);
    UNTIL(heard_end(&c));
    OK(c.n == 0 && c.eof, "one that ends its side without a close is gone");
    hang_up(&c);
    settle();
    OK(seen.over == seen.accepted && !seen.ws, "each has ended once");
}

static void pauses(void) {
    struct client c = dial_ws("/raw");
    char bytes[3000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    seen.binary = 0;
    seen.take = 100;
    say_frame(&c, 0x02, bytes, 1000);
    OK(seen.binary == 100, "what was not taken waits");
    say_frame(&c, 0x80, bytes + 1000, 2000);
    OK(seen.binary == 100, "with all that follows");
    seen.take = 0;
    websocket_resume(seen.ws);
    settle();
    OK(seen.binary == 100, "still");
    for (int i = 0; i < 100 && seen.binary < sizeof bytes; i++) {
        seen.take = 37 + (size_t)i;
        websocket_resume(seen.ws);
        settle();
    }
    OK(seen.binary == sizeof bytes && memcmp(seen.last, bytes, sizeof bytes) == 0,
       "and comes as it was");
    seen.take = 0;
    say_frame(&c, 0x82, bytes, 10);
    pass(1000 * WEBSOCKET_SILENT_S * 3);
    OK(seen.ws != NULL, "whom we do not read is not silent");
    seen.take = SIZE_MAX;
    websocket_close(seen.ws, WS_GOING_AWAY, "");
    settle();
    say_frame(&c, 0x88, "\x03\xe9", 2);
    UNTIL(heard_end(&c));
    OK(c.eof, "one that is closed while it is paused still hears its end");
    hang_up(&c);
}

static void keeps_alive(void) {
    struct client c = dial_ws("/ws");
    pass(1000 * WEBSOCKET_PING_S - 1);
    hear(&c);
    OK(c.n == 0, "nothing is said for %d s", WEBSOCKET_PING_S);
    pass(1);
    hear(&c);
    OK(got(&c, "\x89\0", 2), "then a ping");
    say_frame(&c, 0x8a, "", 0);
    pass(1000 * WEBSOCKET_PING_S);
    hear(&c);
    OK(got(&c, "\x89\0", 2), "and again");
    for (int s = 0; s <= WEBSOCKET_SILENT_S + WEBSOCKET_PING_S; s += WEBSOCKET_PING_S)
        pass(1000 * WEBSOCKET_PING_S);
    UNTIL(heard_end(&c));
    OK(c.eof && !seen.ws, "who does not answer is gone");
    hang_up(&c);
}

/* Pings that come faster than answers go out cost nothing. */
static void floods(void) {
    struct client c = dial_ws("/ws");
    static char many[131 * 1000];
    static const char ping[131] = { (char)0x89, (char)0xfd, 0 };
    for (size_t i = 0; i < sizeof many; i += sizeof ping)
        memcpy(many + i, ping, sizeof ping);
    size_t before = heap_used(), most = 0;
    for (int i = 0; i < 400; i++) {
        (void)send(c.fd, many, sizeof many, MSG_DONTWAIT | MSG_NOSIGNAL);
        settle();
        most = heap_used() > most ? heap_used() : most;
    }
    OK(most - before < 3 * MAX_HTTP_OUT, "52 MB of pings, unread, cost %zu KiB",
       (most - before) >> 10);
    hang_up(&c);
    settle();
}

static void pieces(void) {
    struct client c = dial_ws("/ws");
    websocket_send_piece(seen.ws, WS_TEXT, "a", 1, false);
    websocket_send_piece(seen.ws, WS_TEXT, "b", 1, false);
    websocket_send_piece(seen.ws, WS_TEXT, "", 0, true);
    websocket_send(seen.ws, WS_BINARY, "c", 1);
    settle();
    hear(&c);
    OK(got(&c,
           "\x01\x01"
           "a\0\x01"
           "b\x80\0\x82\x01"
           "c",
           11),
       "a message out in pieces");
    static char block[4096];
    while (websocket_room(seen.ws) >= sizeof block)
        websocket_send(seen.ws, WS_BINARY, block, sizeof block);
    seen.rooms = 0;
    UNTIL((hear(&c), seen.rooms > 0));
    OK(seen.rooms > 0 && websocket_room(seen.ws) >= 64 << 10, "room is told");
    hang_up(&c);
    settle();
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    if (loop_init(&loop, &sys) < 0)
        return 1;
    serve(&site, 100);
    handshakes();
    messages();
    closes();
    pauses();
    keeps_alive();
    floods();
    pieces();
    serve_no_more();
    loop_fini(&loop);
    return tap_end();
}
