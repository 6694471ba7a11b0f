/* SPDX-License-Identifier: ISC */
/*
 * The dashboard's files, out of the program itself: daemon/www and the library
 * that draws, embedded by the build. Called by http.c.
 */
#include <event2/buffer.h>
#include <string.h>

#include "daemon/http_private.h"

#define WWW_BODY(s) s, sizeof(s) - 1

static const struct {
	const char *path, *body;
	size_t len;
} pages[] = {
#include "www.inc"
};

static const struct {
	const char *ending, *type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" },
	{ ".css", "text/css; charset=utf-8" },
	{ ".js", "text/javascript; charset=utf-8" },
	{ ".svg", "image/svg+xml" },
};

static const char *
type_of(const char *path)
{
	const char *ending = strrchr(path, '.');

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i].ending, ending) == 0)
			return types[i].type;
	return "application/octet-stream";
}

bool
http_serve_page(struct evhttp_request *request, const char *path)
{
	struct evbuffer *body;

	if (strcmp(path, "/") == 0)
		path = "/index.html";
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		if (strcmp(pages[i].path, path) == 0) {
			body = evbuffer_new();
			evbuffer_add_reference(body, pages[i].body,
			    pages[i].len, NULL, NULL);
			http_reply(request, 200, type_of(path), body);
			evbuffer_free(body);
			return true;
		}
	return false;
}
