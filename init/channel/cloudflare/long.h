/* long.h — a JSON answer of any length: fixed text, and texts that are escaped on their way out,
 * read as fast as the client takes them.
 */
#ifndef CHANNEL_CLOUDFLARE_LONG_H
#define CHANNEL_CLOUDFLARE_LONG_H

#include "channel/cloudflare/cloudflare.h"
#include "channel/cloudflare/output.h"

enum { CF_LONG_PARTS = 8 };

struct cf_long {
    struct {
        char *text;              /* as it is; owned; NULL: `output` */
        struct cf_output output; /* to be escaped, between quotes; owned */
    } parts[CF_LONG_PARTS];
    size_t n;
    /* private */
    struct http_exchange *x;
    size_t part;
    uint64_t at;
};

/* An empty one; NULL: no memory. */
struct cf_long *cf_long_new(void);
/* Add a copy of the text. False: no memory. */
bool cf_long_text(struct cf_long *l, const char *text);
/* Add what was printed; *o is empty then. */
void cf_long_output(struct cf_long *l, struct cf_output *o);
/* Answer 200 with it, and free it. Takes x->ctx and x->handler where it is long. */
void cf_long_answer(struct http_exchange *x, struct cf_long *l);
void cf_long_free(struct cf_long *l);

#endif
