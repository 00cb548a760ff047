/* What is made of contents on their way: rendered by the worker, base 64; what is left out; what
 * takes the place of something else. */
#include "tests/unit/t_files.h"

/* --- contents out ----------------------------------------------------------------------------- */

/* "<" and ">" around each piece, whose last byte is left for the next one. */
static size_t render(const struct file_info *info, const char *bytes, size_t n, bool ends,
                     struct text *out) {
    size_t used = ends ? n : n - 1;
    text_add(out, info->is_text ? "<" : "(");
    text_put(out, bytes, used);
    text_add(out, info->is_text ? ">" : ")");
    return used;
}

static size_t render_too_much(const struct file_info *info, const char *bytes, size_t n, bool ends,
                              struct text *out) {
    (void)info, (void)bytes, (void)ends;
    out->cut = true;
    return n;
}

static enum file_fault read_rendered(const char *name, file_render_content *how) {
    return go(
        (struct file_req){ .op = FILE_READ, .path = at(name), .content = how, .check_text = true });
}

static void renders(void) {
    put("text", "gr\xc3\xbc\xc3\x9f", 0644);
    IS(FILE_OK, read_rendered("text", render), "a file that is text");
    OK(strcmp(last.out, "<gr\xc3\xbc\xc3\x9f>") == 0, "in one piece: %s", last.out);
    put("binary", "a\xff", 0644);
    IS(FILE_OK, read_rendered("binary", render), "one that is not");
    OK(strcmp(last.out, "(a\xff)") == 0, "no UTF-8");
    put("half", "a\xc3", 0644);
    IS(FILE_OK, read_rendered("half", render), "half a letter at the end");
    OK(last.out[0] == '(', "is none either");
    put("none", "", 0644);
    IS(FILE_OK, read_rendered("none", render), "an empty one");
    OK(!last.out && last.t.info.is_text, "has no piece, and is text");
    static char big[2 * FILE_RENDERED + 101];
    memset(big, 'x', sizeof big - 1);
    put("big", big, 0644);
    IS(FILE_OK, read_rendered("big", render), "a large one");
    size_t n = strlen(last.out), pieces = 0;
    for (const char *p = last.out; (p = strchr(p, '<')); p++)
        pieces++;
    OK(pieces == 3 && n == sizeof big - 1 + 2 * pieces, "in %zu pieces, and nothing is lost",
       pieces);
    OK(last.out[FILE_RENDERED] == '>', "of %d bytes, but what was not taken", FILE_RENDERED);
    shell("printf 'a\\0b' >nul");
    IS(FILE_OK, read_rendered("nul", render), "a NUL");
    OK(last.out[0] == '(', "is none of a text");
    struct file_req q = { .op = FILE_READ, .path = at("big"), .content = render };
    IS(FILE_OK, go_with(q, (struct run){ .from = 10, .len = 5 }), "a part");
    OK(strcmp(last.out, "(xxxxx)") == 0, "only that: %s", last.out);
    IS(FILE_FAILED, read_rendered("text", render_too_much), "what has no room is an error");
    struct run r = { .hold = true };
    run_begin(&r, (struct file_req){ .op = FILE_READ, .path = at("big"), .content = render });
    turns_until(&r.opened);
    OK(truncate("big", 100) == 0, "one that becomes shorter once it is open");
    r.hold = false;
    run_opened(&r.t);
    turns_until(&r.finished);
    OK(r.t.fault == FILE_CUT, "is cut: %s", r.t.why);
    run_end(&r);
    shell("truncate -s 4G sparse");
    IS(FILE_OK,
       go_with(
           (struct file_req){
               .op = FILE_READ, .path = at("sparse"), .content = render, .check_text = true },
           (struct run){ .len = 10 }),
       "4 GiB of nothing");
    OK(!last.t.info.is_text, "are no text, which is known at once");
}

/* --- contents in ------------------------------------------------------------------------------ */

static enum file_fault give_base64(const char *name, const char *text) {
    return go_with((struct file_req){ .op = FILE_WRITE, .path = at(name), .unsynced = true },
                   (struct run){ .in = text, .in_len = strlen(text), .base64 = true });
}

static void decodes(void) {
    put("d", "before", 0640);
    IS(FILE_OK, give_base64("d", "aGVsbG8="), "base 64");
    OK(holds("d", "hello") && (look("d").st_mode & 0777) == 0640, "is decoded; the mode stays");
    IS(FILE_OK, give_base64("d", "aGVsbG8h"), "without padding");
    OK(holds("d", "hello!"), "too");
    IS(FILE_OK, give_base64("d", ""), "nothing");
    OK(holds("d", ""), "is nothing");
    put("d", "before", 0640);
    static const char *const bad[] = { "a", "aGVsbG8*", "aG=sbG8=", "aGVsbG8==", "====" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        IS(FILE_BAD_CODE, give_base64("d", bad[i]), "none: %s", bad[i]);
    OK(holds("d", "before"), "and nothing has changed");
    static char large[400001], plain[300001];
    memset(plain, 'x', sizeof plain - 1);
    for (size_t i = 0; i + 4 < sizeof large; i += 4)
        memcpy(large + i, "eHh4", 4);
    IS(FILE_OK, give_base64("d", large), "more than a piece");
    OK(look("d").st_size == 300000, "all of it");
    memcpy(large + 65532, "eHg=", 4);
    IS(FILE_BAD_CODE, give_base64("d", large), "padding at the end of a piece is within");
    OK(look("d").st_size == 300000, "nothing has changed");
}

/* --- lists, removals, moves ------------------------------------------------------------------- */

static void render_path(const struct file_entry *e, size_t index, struct text *out) {
    (void)index;
    text_add(out, "%s=%s ", e->path, e->name);
}

static void lists(void) {
    shell("mkdir -p ls/sub/.git ls/.hid && touch ls/a ls/.b ls/sub/c ls/sub/.git/d ls/.hid/e");
    struct file_req q = { .op = FILE_LIST,
                          .path = at("ls"),
                          .depth = 10,
                          .entry = render_path,
                          .visible = true,
                          .shown = "x/y" };
    IS(FILE_OK, go(q), "a list of what is visible, under another name");
    OK(strcmp(last.out, "x/y/a=a x/y/sub=sub x/y/sub/c=sub/c ") == 0, "%s", last.out);
    OK(last.t.info.entries == 3, "has 3 entries");
    q.visible = false;
    q.shown = NULL;
    IS(FILE_OK, go(q), "of all");
    OK(last.t.info.entries == 8, "8: %llu", (unsigned long long)last.t.info.entries);
}

static void removes(void) {
    shell("mkdir -p rm/d && touch rm/f && ln -s d rm/l");
    struct file_req q = { .op = FILE_REMOVE, .path = at("rm/d"), .plain = true };
    IS(FILE_IS_DIR, go(q), "a directory, even an empty one");
    q.path = at("rm/l");
    IS(FILE_OK, go(q), "a link to one");
    q.path = at("rm/f");
    IS(FILE_OK, go(q), "a file");
    OK(is_there("rm/d") && !is_there("rm/l") && !is_there("rm/f"), "nothing else");
}

static void moves(void) {
    shell("mkdir -p into/d/same && echo 1 >into/a && echo 2 >into/same && ln -s d into/link");
    struct file_req q = {
        .op = FILE_MOVE, .path = at("into/a"), .to = at("into/d"), .replace = true, .into = true
    };
    IS(FILE_OK, go(q), "into a directory");
    OK(holds("into/d/a", "1\n") && strcmp(last.t.info.path, at("into/d/a")) == 0, "under its name");
    q.path = at("into/d/a");
    q.to = at("into/link/");
    IS(FILE_OK, go(q), "where it is already");
    OK(holds("into/d/a", "1\n"), "changes nothing");
    q.to = at("into/b");
    IS(FILE_OK, go(q), "to a name");
    OK(holds("into/b", "1\n"), "that there is not");
    q.path = at("into/same");
    q.to = at("into/d");
    IS(FILE_IS_DIR, go(q), "over a directory within");
    OK(holds("into/same", "2\n"), "is refused");
}

/* --- archives --------------------------------------------------------------------------------- */

static void archives(void) {
    shell(
        "mkdir -p tar/src/node_modules/x tar/src/sub && cd tar/src && touch a.c a.o sub/b.o sub/c "
        "node_modules/x/y");
    static const char *const patterns[] = { "*.o", "node_modules", NULL };
    struct file_req q = {
        .op = FILE_TAR, .path = at("tar/src"), .contents = true, .exclude = patterns
    };
    IS(FILE_OK, go(q), "an archive without some");
    size_t n = last.out_len;
    char *bytes = malloc(n);
    memcpy(bytes, last.out, n);
    shell("mkdir -p tar/to/old/deep && touch tar/to/f tar/to/.hidden && chmod 751 tar/to");
    ino_t inode = look("tar/to").st_ino;
    struct file_req u = { .op = FILE_UNTAR, .path = at("tar/to"), .replace_all = true };
    IS(FILE_OK, go_with(u, (struct run){ .in = bytes, .in_len = n }),
       "in place of another content");
    OK(is_there("tar/to/a.c") && is_there("tar/to/sub/c") && names_in("tar/to") == 2 &&
           names_in("tar/to/sub") == 1,
       "what was not left out, and nothing else");
    OK(look("tar/to").st_ino == inode && (look("tar/to").st_mode & 0777) == 0751,
       "the directory is the same");
    shell("touch tar/to/kept");
    IS(FILE_CUT, go_with(u, (struct run){ .in = bytes, .in_len = n, .cut = true }),
       "one that is cut");
    bytes[0] ^= 1;
    IS(FILE_BAD_ARCHIVE, go_with(u, (struct run){ .in = bytes, .in_len = n }), "one that is none");
    OK(is_there("tar/to/kept") && names_in("tar/to") == 3, "change nothing, and leave nothing");
    bytes[0] ^= 1;
    shell("cd tar/to && seq -f before-%g 40 | xargs touch && mkdir volume && cd ../.. && mount -t "
          "tmpfs none tar/to/volume && touch tar/to/volume/v");
    IS(FILE_BUSY, go_with(u, (struct run){ .in = bytes, .in_len = n }), "over a mount: %s",
       last.t.why);
    OK(is_there("tar/to/volume/v") && is_there("tar/to/kept") && is_there("tar/to/a.c") &&
           names_in("tar/to") == 44,
       "all is as it was: %d", names_in("tar/to"));
    shell("umount tar/to/volume && rmdir tar/to/volume && rm tar/to/before-*");
    struct run r = { .hold = true };
    run_begin(&r, u);
    turns_until(&r.opened);
    run_end(&r);
    OK(names_in("tar/to") == 3, "nor does one that is given up");
    free(bytes);
}

int main(int argc, char **argv) {
    if (geteuid() != 0) {
        (void)printf("1..0 # SKIP not root\n");
        return 0;
    }
    begin(argc, argv);
    renders();
    decodes();
    lists();
    removes();
    moves();
    archives();
    return end();
}
