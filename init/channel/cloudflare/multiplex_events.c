/* multiplex_events.c — server-sent events (HTML standard, 9.2.6) into messages, as they come. */
#include <string.h>

#include "channel/cloudflare/multiplex.h"

/* The JSON text of an event becomes the content of a JSON string. */
static void say_escaped(struct mux_call *c, const char *bytes, size_t n) {
    char buf[6 * MUX_STEP + 1];
    struct text t = TEXT(buf);
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)bytes[i];
        if (b == '"' || b == '\\')
            text_put(&t, "\\", 1);
        if (b < 0x20)
            text_add(&t, "\\u%04x", b);
        else
            text_put(&t, bytes + i, 1);
    }
    mux_say(c, t.buf, t.len);
}

static void say(struct mux_call *c, const char *text) { mux_say(c, text, strlen(text)); }

/* A line of data begins: the first of its event, or another one. */
static void begin_data(struct mux_call *c) {
    if (c->begun) {
        say(c, "\\n");
        return;
    }
    mux_say_head(c, "stream");
    if (c->nevent > 0) {
        say(c, ",\"event\":\"");
        say_escaped(c, c->event, c->nevent);
        say(c, "\"");
    }
    say(c, ",\"data\":\"");
    c->begun = true;
}

static void end_event(struct mux_call *c) {
    if (c->begun) {
        say(c, "\"}");
        mux_say_end(c);
    }
    c->begun = false;
    c->nevent = 0;
}

/* A sign of life: clients give a stream up that says nothing for 5 minutes, and pass over data that
 * is blank. */
static void say_nothing(struct mux_call *c) {
    mux_say_head(c, "stream");
    say(c, ",\"data\":\"\"}");
    mux_say_end(c);
}

static void end_line(struct mux_call *c) {
    if (c->field == MUX_NAME && c->nname == 0)
        end_event(c);
    if (c->comment && !c->begun)
        say_nothing(c);
    c->comment = false;
    c->field = MUX_NAME;
    c->nname = 0;
}

/* A colon: what follows is the value. A name without one is none of ours. */
static void end_name(struct mux_call *c) {
    c->comment = c->nname == 0;
    c->is_data = c->nname == 4 && memcmp(c->name, "data", 4) == 0;
    bool is_event = c->nname == 5 && memcmp(c->name, "event", 5) == 0;
    c->field = c->is_data || is_event ? MUX_SPACE : MUX_IGNORED;
    if (c->is_data)
        begin_data(c);
    else if (is_event)
        c->nevent = 0;
}

static void take_name(struct mux_call *c, char byte) {
    if (byte == ':')
        end_name(c);
    else if (c->nname < sizeof c->name)
        c->name[c->nname++] = byte;
}

static void take_event(struct mux_call *c, char byte) {
    if (c->nevent < sizeof c->event)
        c->event[c->nevent++] = byte;
}

/* How many bytes of a value were taken. One blank before it is none of it. */
static size_t take_value(struct mux_call *c, const char *bytes, size_t n) {
    if (c->field == MUX_SPACE) {
        c->field = c->is_data ? MUX_DATA : MUX_EVENT;
        if (*bytes == ' ')
            return 1;
    }
    const char *eol = memchr(bytes, '\n', n);
    n = eol ? (size_t)(eol - bytes) : n;
    if (c->field == MUX_DATA)
        say_escaped(c, bytes, n);
    for (size_t i = 0; c->field == MUX_EVENT && i < n; i++)
        take_event(c, bytes[i]);
    return n;
}

size_t mux_events(struct mux_call *c, const char *bytes, size_t n) {
    size_t at = 0;
    while (at < n) {
        if (bytes[at] == '\n') {
            bool ends = (c->begun && c->field == MUX_NAME && c->nname == 0) || c->comment;
            end_line(c);
            at++;
            if (ends)
                break;
        } else if (c->field == MUX_NAME) {
            take_name(c, bytes[at++]);
        } else {
            at += take_value(c, bytes + at, n - at);
        }
    }
    return at;
}
