/* The server's routes and docs/openapi.yaml name the same paths and methods. The page is read by
 * line: paths stand two blanks in, methods four, and nothing else in that part does. */
#include <stdlib.h>
#include <string.h>

#include "channel/native/native.h"
#include "tap.h"

enum { MAX_ROUTES = 128, MAX_PATH = 128 };

struct route {
    char method[8], path[MAX_PATH];
};

static struct route page[MAX_ROUTES];
static size_t npage, nodd;

static bool is_method(const char *word, char method[8]) {
    static const char *const names[] = {
        "get", "put", "post", "delete", "head", "options", "patch"
    };
    static const char *const upper[] = {
        "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(word, names[i]) == 0) {
            (void)snprintf(method, 8, "%s", upper[i]);
            return true;
        }
    return false;
}

/* "  /v1/exec:" begins a path, "    post:" is a route of it; `parameters` may stand beside it. */
static void read_line(char *line, char path[MAX_PATH]) {
    size_t indent = strspn(line, " "), n = strlen(line);
    char *word = line + indent;
    if (indent == 2 && word[0] == '/' && line[n - 1] == ':') {
        (void)snprintf(path, MAX_PATH, "%.*s", (int)(n - indent - 1), word);
    } else if (indent == 4) {
        struct route *r = &page[npage];
        line[indent + strcspn(word, ":")] = '\0';
        if (npage < MAX_ROUTES && is_method(word, r->method)) {
            (void)snprintf(r->path, sizeof r->path, "%s", path);
            npage++;
        } else if (strcmp(word, "parameters") != 0) {
            (void)printf("# what is '%s' of %s?\n", word, path);
            nodd++;
        }
    }
}

static bool read_page(const char *name) {
    char line[1024], path[MAX_PATH] = "";
    bool within = false;
    FILE *f = fopen(name, "re");
    if (!f)
        return false;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] && line[0] != ' ')
            within = strcmp(line, "paths:") == 0;
        else if (within && line[0])
            read_line(line, path);
    }
    (void)fclose(f);
    return true;
}

static bool on_page(const struct http_route *r) {
    for (size_t i = 0; i < npage; i++)
        if (strcmp(page[i].method, r->method) == 0 && strcmp(page[i].path, r->path) == 0)
            return true;
    return false;
}

static unsigned served(const struct route *p) {
    unsigned n = 0;
    for (size_t i = 0; i < native_nroutes; i++)
        n += strcmp(native_routes[i].method, p->method) == 0 &&
             strcmp(native_routes[i].path, p->path) == 0;
    return n;
}

int main(void) {
    if (!OK(read_page("docs/openapi.yaml"), "docs/openapi.yaml can be read"))
        return tap_end();
    OK(nodd == 0, "paths have methods and parameters only");
    OK(npage >= 30, "%zu routes are described", npage);
    for (size_t i = 0; i < native_nroutes; i++)
        OK(on_page(&native_routes[i]), "%s %s is described", native_routes[i].method,
           native_routes[i].path);
    for (size_t i = 0; i < npage; i++)
        OK(served(&page[i]) == 1, "%s %s is served, once", page[i].method, page[i].path);
    return tap_end();
}
