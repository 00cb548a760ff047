#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/show.h"

enum { REDRAW_MS = 200 };

static void draw(const struct progress *p, instant now, const char *end) {
    char line[256], done[BYTES_TEXT], total[BYTES_TEXT], rate[BYTES_TEXT], time[24];
    struct text t = TEXT(line);
    int64_t ms = span_to_ms(instant_since(now, p->begun));
    text_add(&t, "%.60s  %s", p->name, format_bytes(done, p->done));
    if (p->total > 0 && !*end)
        text_add(&t, " of %s, %u%%", format_bytes(total, (uint64_t)p->total),
                 (unsigned)(p->done * 100 / (uint64_t)p->total));
    text_add(&t, " in %s, %s/s", format_span(time, sizeof time, span_ms(ms)),
             format_bytes(rate, p->done * 1000 / (uint64_t)(ms > 0 ? ms : 1)));
    (void)fprintf(stderr, "\r\033[K%s%s", text_safe(line), end);
}

void progress_begin(struct progress *p, const char *name, int64_t total, bool quiet) {
    instant now = instant_now();
    *p = (struct progress){
        .shown = !quiet && isatty(2), .name = name, .total = total, .begun = now, .drawn = now
    };
}

void progress_add(struct progress *p, uint64_t n) {
    p->done += n;
    if (!p->shown)
        return;
    instant now = instant_now();
    if (instant_before(now, instant_add(p->drawn, span_ms(REDRAW_MS))))
        return;
    p->drawn = now;
    draw(p, now, "");
}

void progress_end(struct progress *p, bool well) {
    if (p->shown && well)
        draw(p, instant_now(), "\n");
    else if (p->shown)
        (void)fputs("\r\033[K", stderr);
    p->shown = false;
}
