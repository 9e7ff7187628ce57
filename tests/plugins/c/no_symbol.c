/* A shared library that is no adapter. */
int something_else(void);

int something_else(void)
{
    return 1;
}
