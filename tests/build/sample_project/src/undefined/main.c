int missing_function(void);

void reset(void)
{
    (void)missing_function();
}
