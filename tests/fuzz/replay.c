/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz target over files, where there is no libFuzzer: every file and
 * folder on the command line. Also cuts each input short in a few places, so
 * that a corpus is worth more than its own bytes.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "conf/base/strbuf.h"
#include "tests/fuzz/fuzz.h"

#define N_CUTS 16

static unsigned n_runs;

static void
run(const char *data, size_t len)
{
	char *exact = malloc(len != 0 ? len : 1);

	if (len > 0)
		memcpy(exact, data, len);
	LLVMFuzzerTestOneInput((const uint8_t *)exact, len);
	free(exact);
	n_runs++;
}

static void
run_file(const char *path)
{
	struct strbuf text = { 0 };
	char buf[4096];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		strbuf_add(&text, buf, n);
	fclose(f);
	for (size_t i = 0; i <= N_CUTS; i++)
		run(text.data, text.len * i / N_CUTS);
	strbuf_fini(&text);
}

static void
run_path(const char *path)
{
	struct stat st;
	struct dirent *entry;
	DIR *dir;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char *name = xasprintf("%s/%s", path, entry->d_name);

		if (*entry->d_name != '.')
			run_path(name);
		free(name);
	}
	if (dir != NULL)
		closedir(dir);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%u inputs\n", n_runs);
	return n_runs > 0 ? 0 : 1;
}
