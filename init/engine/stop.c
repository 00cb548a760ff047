#include "engine/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"

/* HTTP/1.0 throughout: the answer ends with the connection and is never chunked. */
static int request(const char *socket_path, const char *text, struct err *e) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strlen(socket_path) >= sizeof to.sun_path)
        return err_set(e, ENAMETOOLONG, "%s is too long for a socket", socket_path);
    memcpy(to.sun_path, socket_path, strlen(socket_path) + 1);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return err_sys(e, errno, "ask the engine at %s", socket_path);
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        return err_sys(e, errno, "ask the engine at %s", socket_path);
    return fd_take(&fd);
}

/* Everything until the end of the connection. -EFBIG past `cap`. */
static ssize_t read_answer(int fd, char *buf, size_t cap, instant deadline) {
    size_t n = 0;
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int rc = poll(&p, 1, instant_timeout_ms(deadline, instant_now()));
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return rc == 0 ? -ETIMEDOUT : -errno;
        ssize_t got = recv(fd, buf + n, cap - n, 0);
        if (got <= 0)
            return got < 0 ? -errno : (ssize_t)n;
        n += (size_t)got;
        if (n == cap)
            return -EFBIG;
    }
}

/* An id goes into a request line: it must be what ids are. */
static bool is_id(const char *id) {
    size_t n = strspn(id, "0123456789abcdef");
    return n > 0 && n <= 64 && id[n] == '\0';
}

static int stop_one(const char *socket, const char *id, span patience, struct err *e) {
    char text[256];
    (void)snprintf(text, sizeof text,
                   "POST /containers/%s/stop?t=%lld HTTP/1.0\r\nHost: docker\r\n"
                   "Content-Length: 0\r\n\r\n",
                   id, (long long)(patience.ns / 1000000000));
    return request(socket, text, e);
}

/* All at once; the fds of the requests that were sent. */
static size_t stop_all(const char *socket, yyjson_val *list, span patience, int *fds) {
    size_t i, most, n = 0;
    yyjson_val *c;
    yyjson_arr_foreach(list, i, most, c) {
        const char *id = yyjson_get_str(yyjson_obj_get(c, "Id"));
        if (n == MAX_STOPPED_CONTAINERS || !id || !is_id(id))
            continue;
        int fd = stop_one(socket, id, patience, NULL);
        if (fd >= 0)
            fds[n++] = fd;
    }
    return n;
}

static yyjson_doc *list_containers(const char *socket, char *buf, instant deadline, struct err *e) {
    static const char ask[] = "GET /containers/json HTTP/1.0\r\nHost: docker\r\n\r\n";
    AUTO_FD int fd = request(socket, ask, e);
    if (fd < 0)
        return NULL;
    ssize_t n = read_answer(fd, buf, MAX_CONTAINER_LIST, deadline);
    if (n < 0) {
        (void)err_sys(e, (int)-n, "list the engine's containers");
        return NULL;
    }
    char *body = memmem(buf, (size_t)n, "\r\n\r\n", 4);
    yyjson_doc *doc = body ? yyjson_read(body + 4, (size_t)(buf + n - body - 4), 0) : NULL;
    if (!doc)
        (void)err_set(e, EPROTO, "the engine's list of containers is not JSON");
    return doc;
}

int engine_stop_containers(const char *socket, span patience, instant deadline, struct err *e) {
    AUTO_FREE char *buf = malloc(MAX_CONTAINER_LIST);
    if (!buf)
        return err_set(e, ENOMEM, "out of memory");
    yyjson_doc *doc = list_containers(socket, buf, deadline, e);
    if (!doc)
        return -e->code;
    int fds[MAX_STOPPED_CONTAINERS];
    size_t n = stop_all(socket, yyjson_doc_get_root(doc), patience, fds);
    yyjson_doc_free(doc);
    for (size_t i = 0; i < n; i++) {
        (void)read_answer(fds[i], buf, MAX_CONTAINER_LIST, deadline);
        fd_close(&fds[i]);
    }
    return (int)n;
}
