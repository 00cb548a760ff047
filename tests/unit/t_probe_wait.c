/* The kinds that wait inside one attempt: tcp, unix, file, docker. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/t_probe.h"

static char dir[] = "/tmp/t_probe.XXXXXX";

static const char *in_dir(const char *name) {
    static char path[4][128];
    static int turn;
    char *p = path[turn = (turn + 1) % 4];
    (void)snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static const char *spec(const char *kind, const char *path) {
    static char text[200];
    (void)snprintf(text, sizeof text, "%s:%s", kind, path);
    return text;
}

enum { TRIES = 5, MAX_TRIES = 50, SOON_MS = 5 };

/* A server that becomes ready `delay` from now, in the way that `become` says. */
struct late {
    struct shared *shared;
    span delay;
    uint16_t port;
    const char *path;
    void (*become)(struct late *l);
};

static void serve_late(void *arg) {
    struct late *l = arg;
    nap(l->delay);
    l->become(l);
    for (;;)
        (void)pause();
}

/* On a busy machine the best of five may be bad luck: then there are more tries. */
static bool tries_left(int i, int64_t best_us) {
    return i < TRIES || (i < MAX_TRIES && best_us > SOON_MS * 1000);
}

/* The best of some tries: how long after the thing was true the probe said so. */
static void answered_soon(struct late *l, const char *text, const char *what) {
    int64_t best = INT64_MAX;
    int answered = 0, tries = 0;
    l->shared = shared_new();
    l->delay = span_ms(40);
    for (; tries_left(tries, best); tries++) {
        pid_t pid = server_start(serve_late, l);
        struct asked a = ask_probe(text, span_s(5));
        int64_t us = instant_since(a.done, l->shared->at).ns / 1000;
        answered += a.rc == 0 && a.took.ns >= span_ms(30).ns;
        best = us < best ? us : best;
        server_stop(pid);
        if (l->path)
            (void)unlink(l->path);
    }
    OK(answered == tries, "%s: %d of %d answered yes, and not too early", what, answered, tries);
    OK(best >= -1000 && best <= SOON_MS * 1000, "%s: answered %lld us after it was true", what,
       (long long)best);
    shared_free(l->shared);
}

static void become_tcp(struct late *l) {
    int fd = bound_tcp(&l->port);
    (void)listen(fd, 4);
    l->shared->at = instant_now();
}

static void tcp(void) {
    uint16_t port = 0;
    AUTO_FD int fd = bound_tcp(&port);
    char at[64], bare[64], named[64];
    (void)snprintf(at, sizeof at, "tcp:127.0.0.1:%u", port);
    (void)snprintf(bare, sizeof bare, "tcp:%u", port);
    (void)snprintf(named, sizeof named, "tcp:localhost:%u", port);
    struct asked a = ask_probe(at, span_ms(120));
    char want[80];
    (void)snprintf(want, sizeof want, "connect 127.0.0.1:%u: Connection refused", port);
    OK(on_time(a, span_ms(120)) && !strcmp(a.e.text, want), "tcp, no: %s after %lld ms", a.e.text,
       (long long)span_to_ms(a.took));
    (void)listen(fd, 8);
    OK(ask_probe(at, span_s(5)).rc == 0, "tcp, yes");
    OK(ask_probe(bare, span_s(5)).rc == 0, "tcp: a port alone is localhost's");
    OK(ask_probe(named, span_s(5)).rc == 0, "tcp: localhost needs no look-up");
    fd_close(&fd);
    struct late l = { .port = port, .become = become_tcp };
    answered_soon(&l, at, "tcp");
}

/* A backlog that is full takes no more: the attempt hangs, and ends at the deadline. */
static void tcp_silent(void) {
    uint16_t port = 0;
    AUTO_FD int fd = bound_tcp(&port);
    (void)listen(fd, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(port) };
    int fill[4];
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fill[i], (struct sockaddr *)&sa, sizeof sa);
    }
    char at[64];
    (void)snprintf(at, sizeof at, "tcp:127.0.0.1:%u", port);
    struct asked a = ask_probe(at, span_ms(150));
    OK(on_time(a, span_ms(150)) && strstr(a.e.text, "no answer in time"),
       "tcp, silence: %s after %lld ms", a.e.text, (long long)span_to_ms(a.took));
    for (int i = 0; i < 4; i++)
        (void)close(fill[i]);
}

/* Find a port that the kernel would give to its own connect: it must not answer itself. */
static void tcp_itself(void) {
    int yes = 0;
    for (int i = 0; i < 3; i++) {
        uint16_t port = 0;
        int fd = bound_tcp(&port);
        (void)close(fd);
        char at[64];
        (void)snprintf(at, sizeof at, "tcp:127.0.0.1:%u", port);
        yes += ask_probe(at, span_ms(60)).rc == 0;
    }
    OK(yes == 0, "tcp: nobody listens, nobody answers");
}

static void tcp_names(void) {
    struct asked a = ask_probe("tcp:no-such-host.invalid:80", span_s(10));
    OK(a.rc < 0 && strstr(a.e.text, "look up no-such-host.invalid: "), "tcp: %s (%lld ms)",
       a.e.text, (long long)span_to_ms(a.took));
    a = ask_probe("tcp:no-such-host.invalid:80", span_ms(0));
    OK(a.rc == -ETIMEDOUT && a.took.ns < span_ms(50).ns, "tcp: a look-up ends at the deadline");
    a = ask_probe("tcp:[::1]:1", span_ms(30));
    OK(a.rc < 0 && strstr(a.e.text, "connect [::1]:1: "), "tcp over IPv6: %s", a.e.text);
}

static void become_unix(struct late *l) {
    int fd = bound_unix(l->path);
    (void)listen(fd, 4);
    l->shared->at = instant_now();
}

/* bind makes the file, and some time later listen makes it answer. */
static void become_unix_slowly(struct late *l) {
    int fd = bound_unix(l->path);
    nap(span_ms(7));
    (void)listen(fd, 4);
    l->shared->at = instant_now();
}

static void become_unix_replacing(struct late *l) {
    (void)unlink(l->path);
    become_unix(l);
}

static void become_unix_renaming(struct late *l) {
    const char *temporary = in_dir("temporary");
    int fd = bound_unix(temporary);
    (void)listen(fd, 4);
    (void)rename(temporary, l->path);
    l->shared->at = instant_now();
}

static void become_unix_deep(struct late *l) {
    (void)mkdir(in_dir("a"), 0755);
    nap(span_ms(5));
    (void)mkdir(in_dir("a/b"), 0755);
    become_unix(l);
}

static void make_stale(const char *path) { (void)close(bound_unix(path)); }

static void unix_yes_and_no(void) {
    const char *path = in_dir("s");
    struct asked a = ask_probe(spec("unix", path), span_ms(100));
    OK(on_time(a, span_ms(100)) && strstr(a.e.text, "No such file or directory"),
       "unix, missing: %s after %lld ms", a.e.text, (long long)span_to_ms(a.took));
    make_stale(path);
    a = ask_probe(spec("unix", path), span_ms(100));
    OK(on_time(a, span_ms(100)) && strstr(a.e.text, "Connection refused"), "unix, stale: %s",
       a.e.text);
    (void)unlink(path);
    AUTO_FD int fd = bound_unix(path);
    (void)listen(fd, 1);
    OK(ask_probe(spec("unix", path), span_s(5)).rc == 0, "unix, yes");
    (void)unlink(path);
    AUTO_FD int plain = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    a = ask_probe(spec("unix", path), span_ms(50));
    OK(plain >= 0 && on_time(a, span_ms(50)) && strstr(a.e.text, "it is not a socket"),
       "unix, a file: %s", a.e.text);
    a = ask_probe(spec("unix", in_dir("s/t")), span_ms(50));
    OK(on_time(a, span_ms(50)) && strstr(a.e.text, "Not a directory"), "unix, under a file: %s",
       a.e.text);
    (void)unlink(path);
}

static void unix_late(void) {
    struct late l = { .path = in_dir("late"), .become = become_unix };
    char text[200];
    (void)snprintf(text, sizeof text, "unix:%s", l.path);
    answered_soon(&l, text, "unix, appearing");
    l.become = become_unix_slowly;
    answered_soon(&l, text, "unix, bound 7 ms before it listens");
    l.become = become_unix_renaming;
    answered_soon(&l, text, "unix, renamed into place");
    l.become = become_unix_replacing;
    make_stale(l.path);
    answered_soon(&l, text, "unix, replacing a stale one");
    char deep[128];
    (void)snprintf(deep, sizeof deep, "%s", in_dir("a/b/s"));
    struct late d = { .path = deep, .become = become_unix_deep };
    (void)snprintf(text, sizeof text, "unix:%s", deep);
    answered_soon(&d, text, "unix, in directories that are made first");
    (void)rmdir(in_dir("a/b"));
    (void)rmdir(in_dir("a"));
}

static void become_file(struct late *l) {
    l->shared->at = instant_now();
    (void)close(open(l->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

static void file(void) {
    char text[200];
    struct late l = { .path = in_dir("flag"), .become = become_file };
    (void)snprintf(text, sizeof text, "file:%s", l.path);
    struct asked a = ask_probe(text, span_ms(100));
    OK(on_time(a, span_ms(100)) && strstr(a.e.text, "No such file or directory"), "file, no: %s",
       a.e.text);
    answered_soon(&l, text, "file");
    OK(ask_probe(spec("file", dir), span_s(5)).rc == 0, "file: a directory exists as well");
}

/* An engine: listens, serves some time later, and answers what waits in its backlog. */
struct engine {
    struct shared *shared;
    const char *path;
    const char *answer;
    int drops; /* connections that are closed without an answer first */
};

static void engine_take(struct engine *g, int listener, const char *answer) {
    AUTO_FD int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ssize_t n = read(fd, g->shared->seen, sizeof g->shared->seen - 1);
    g->shared->seen[n > 0 ? n : 0] = '\0';
    g->shared->count++;
    put(fd, answer);
}

static void serve_engine(void *arg) {
    struct engine *g = arg;
    nap(span_ms(20));
    int listener = bound_unix(g->path);
    (void)listen(listener, 8);
    nap(span_ms(60));
    g->shared->at = instant_now();
    for (int i = 0; i < g->drops; i++)
        engine_take(g, listener, "");
    for (;;)
        engine_take(g, listener, g->answer);
}

static struct asked ask_engine(struct engine *g, span timeout) {
    char text[200];
    (void)snprintf(text, sizeof text, "docker:%s", g->path);
    g->shared->count = 0;
    pid_t pid = server_start(serve_engine, g);
    struct asked a = ask_probe(text, timeout);
    server_stop(pid);
    (void)unlink(g->path);
    return a;
}

static void docker(void) {
    struct engine g = { .shared = shared_new(),
                        .path = in_dir("docker.sock"),
                        .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK" };
    int64_t best = INT64_MAX;
    int good = 0, tries = 0;
    for (; tries_left(tries, best); tries++) {
        struct asked a = ask_engine(&g, span_s(5));
        int64_t us = instant_since(a.done, g.shared->at).ns / 1000;
        best = us < best ? us : best;
        good += a.rc == 0 && g.shared->count == 1 && us > -1000;
    }
    OK(good == tries && best <= SOON_MS * 1000,
       "docker: one request each, answered %lld us after it is served", (long long)best);
    OK(!strncmp(g.shared->seen, "GET /_ping HTTP/1.1\r\nHost: ", 27) &&
           strstr(g.shared->seen, "\r\nConnection: close\r\n"),
       "docker: it asks for /_ping");
    g.drops = 3;
    struct asked a = ask_engine(&g, span_s(5));
    OK(a.rc == 0 && g.shared->count == 4, "docker: three that hang up, then one that answers: %s",
       a.e.text);
    g.drops = 0;
    g.answer = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
    a = ask_engine(&g, span_s(5));
    OK(a.rc == -EPROTO && strstr(a.e.text, "docker.sock: status 503 Service Unavailable, wanted"),
       "docker, no: %s", a.e.text);
    g.answer = "";
    a = ask_engine(&g, span_ms(200));
    OK(on_time(a, span_ms(200)) && strstr(a.e.text, "GET /_ping on "), "docker, never: %s",
       a.e.text);
    shared_free(g.shared);
}

/* It listens and never serves. */
static void docker_hangs(void) {
    const char *path = in_dir("docker.sock");
    AUTO_FD int fd = bound_unix(path);
    (void)listen(fd, 8);
    struct asked a = ask_probe(spec("docker", path), span_ms(150));
    OK(on_time(a, span_ms(150)) && strstr(a.e.text, "no answer in time"),
       "docker, hanging: %s after %lld ms", a.e.text, (long long)span_to_ms(a.took));
    (void)unlink(path);
}

int main(void) {
    if (!mkdtemp(dir))
        return 99;
    tcp();
    tcp_silent();
    tcp_itself();
    tcp_names();
    unix_yes_and_no();
    unix_late();
    file();
    docker();
    docker_hangs();
    OK(rmdir(dir) == 0, "nothing is left behind");
    return tap_end();
}
