/* process.h — what the two halves of process.Process share. */
#ifndef CHANNEL_E2B_PROCESS_H
#define CHANNEL_E2B_PROCESS_H

#include "channel/e2b/rpc.h"

/* How a message names a process: {"process":{"pid":7}} or {"process":{"tag":"x"}}. */
struct e2b_selector {
    bool by_pid;
    int64_t pid;
    const char *tag; /* borrowed from the document */
};

/* False: the message names none, or p->err is set. */
bool e2b_selector(struct proto *p, yyjson_val *message, struct e2b_selector *out);
/* "process with pid 7 not found", as E2B's agent says it. */
const char *e2b_selector_fault(const struct e2b_selector *s, char out[128]);
struct job *e2b_select(const struct http_exchange *x, const struct e2b_selector *s);

/* {"event":{"start":...}} and {"event":{"end":...}} of a job. */
void e2b_put_start(struct text *t, const struct job *j);
void e2b_put_end(struct text *t, const struct job *j);
/* {"event":{"data":...}}: at most E2B_CHUNK bytes, for which e2b_stream_room() is E2B_DATA. */
enum { E2B_CHUNK = 48 << 10, E2B_DATA = 64 + E2B_CHUNK / 3 * 4 };
void e2b_send_data(struct e2b_stream *s, const char *stream, const char *bytes, size_t n);

#endif
