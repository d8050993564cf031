module pricing

go 1.21
